/* The two 8259A interrupt controllers.  Source: Intel 8259A data sheet, "Initialization Command Words". */
#pragma once
#include "cpu.h"

enum { MASTER = 0x20, MASTER_DATA = 0x21, SLAVE = 0xA0, SLAVE_DATA = 0xA1 };
enum { IRQ_VECTOR = 0x20, IRQ_TIMER = 0, IRQ_KEYBOARD = 1, IRQ_CASCADE = 2, IRQ_COM1 = 4, IRQ_RTC = 8 };
enum { OCW2_EOI = 0x20, OCW3_READ_IRR = 0x0A, OCW3_READ_ISR = 0x0B, OCW3_POLL = 0x0C };

/* IRQ 0-15 to vectors 0x20-0x2F, all masked. */
void set_up_pics(void);
void mask_irqs_except(u16 wanted); /* a bit per IRQ that may come through */
void end_of_interrupt(u8 irq);
u8 requests(u16 pic); /* IRR */
u8 in_service(u16 pic); /* ISR */

/* The 8254's counter 0 gives one edge on IRQ 0 after `count` of its 1,193,182 Hz clocks (mode 0)... */
void timer_once(u16 count);
/* ...or one every `count` (mode 2). */
void timer_every(u16 count);
/* With interrupts off: wait until IRQ 0 is requested. */
void wait_for_timer_request(void);
