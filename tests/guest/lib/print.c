#include <stdarg.h>

#include "test.h"
#include "user.h"

enum { COM1 = 0x3F8, COM1_LINE_STATUS = COM1 + 5, TRANSMITTER_EMPTY = 0x20, DEBUG_CONSOLE = 0xE9 };

static void put(char c) {
    if (privilege() == 3) {
        system_call(SYSTEM_PUT, (u8)c);
        return;
    }
    while (!(inb(COM1_LINE_STATUS) & TRANSMITTER_EMPTY)) {}
    outb(COM1, c);
    outb(DEBUG_CONSOLE, c);
}

static void put_text(const char *text) {
    while (*text) put(*text++);
}

static void put_number(u32 value, u32 base) {
    char digits[12], *at = digits + sizeof digits;
    *--at = 0;
    do *--at = "0123456789abcdef"[value % base];
    while (value /= base);
    put_text(at);
}

void print(const char *format, ...) {
    va_list values;
    va_start(values, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        switch (*++format) {
        case 's': put_text(va_arg(values, const char *)); break;
        case 'u': put_number(va_arg(values, u32), 10); break;
        case 'x': put_text("0x"); put_number(va_arg(values, u32), 16); break;
        case 'c': put(va_arg(values, int)); break;
        default: put(*format);
        }
    }
    va_end(values);
}
