/* One structure of everything, and lists, for tests of how values are read and printed. */
#include <stdint.h>

enum state { READY, RUNNING, ZOMBIE = 7 };
enum flags { FLAG_A = 1, FLAG_B = 2, FLAG_C = 8 };

struct list_head {
    struct list_head *next, *prev;
};

typedef struct task {
    int pid;
    char name[16];
    enum state state;
    struct list_head links;
    struct task *parent;
    char *why;
    int (*run)(int);
    union {
        int both;
        struct {
            short low, high;
        };
    };
    unsigned a : 3;
    signed b : 5;
    unsigned long long wide : 40;
    uint8_t bytes[20];
    int numbers[6];
    int zeros[30];
    struct {
        int x;
        char c;
    } points[3], same[12];
    double d;
    float f;
    _Bool yes;
    enum flags one, two, none;
    enum state odd;
    void *anything;
    char c;
    unsigned char u;
    long double l;
    struct {
    } nothing;
    int matrix[2][3];
    char *null;
    char full[4];
    char quotes[8];
} task_t;

int run(int x) { return x; }

task_t first;
task_t sample = {
    .pid = -3, .name = "init", .state = RUNNING, .links = { &sample.links, &first.links }, .parent = &first,
    .why = "because \"x\"\n", .run = run, .low = 5, .high = -2, .a = 5, .b = -3, .wide = 0x123456789a,
    .bytes = { 1, 2, 3, 65, 66 }, .numbers = { 1, 2, 3, 3, 3, 9 }, .points = { { 1, 'a' }, { 2, 'b' }, { 3, 0 } },
    .d = 3.14, .f = 3.14f, .yes = 1, .one = FLAG_B, .two = FLAG_A | 4, .none = 0, .odd = 55, .anything = (void *)run,
    .c = -1, .u = 200, .l = 1.5L, .matrix = { { 1, 2, 3 }, { 4, 5, 6 } }, .full = { 'a', 'b', 'c', 'd' },
    .quotes = "'\"\\\t",
};
int many[300] = { 1, 2, 3 };
short steps[250] = {
#define TEN(n) n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9
    TEN(0), TEN(10), TEN(20), TEN(30), TEN(40), TEN(50), TEN(60), TEN(70), TEN(80), TEN(90), TEN(100), TEN(110),
    TEN(120), TEN(130), TEN(140), TEN(150), TEN(160), TEN(170), TEN(180), TEN(190), TEN(200), TEN(210), TEN(220),
};
char text[300] = "a text that is longer than what is shown ----------------------------------------------------------"
                 "the second hundred 0123456789 abcdefghijklmnopqrstuvwxyz 0123456789 abcdefghijklmnopqrstuvwxyz 012"
                 "and behind all that is cut";
double fractions[] = { 0, -0.0, 1e300, 1.0 / 3, -2.5e-7, 1e16 };

int main(void) { return sample.pid + run(3) + many[1] + steps[3] + text[0] + (int)fractions[1]; }
