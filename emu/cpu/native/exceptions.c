/* Exceptions and interrupts enter the guest through its own IDT by QEMU's own code.
 *
 * Unicorn hands every exception to a hook instead of delivering it.  The hooks here give it back to
 * x86_cpu_do_interrupt(): gates, stack switch by the TSS, error codes, vm86, the real-mode IVT, double and triple
 * faults are QEMU's; task gates are ours, see tasks.c.  A fault during delivery leaves by siglongjmp and arrives here
 * again as the next exception; that is why delivery must never be below a Python frame.
 */
#include "core.h"

enum { HOOK_INTR = 1 << 0, HOOK_INSN_INVALID = 1 << 14 };
enum { VECTOR_DEBUG = 1, VECTOR_NMI = 2, VECTOR_UNDEFINED_OPCODE = 6, VECTOR_PAGE_FAULT = 14 };
enum { DR6_SINGLE_STEP = 1 << 14 };
enum { DR6_BREAKPOINTS = 15, DR6_DEBUG_REGISTER = 1 << 13 };
enum { EFLAGS_RF = 1 << 16, STI = 0xfb };

void record_delivery(Core *core, DeliveryKind kind, uint32_t vector, uint32_t error_code)
{
    Delivery *entry = &core->history[core->deliveries++ % HISTORY_LENGTH];
    entry->kind = kind;
    entry->vector = vector;
    entry->error_code = error_code;
    entry->cs = FIELD(uint32_t, core->env, ENV_SEGS + SEG_CS * SEG_SIZE + SEG_SELECTOR);
    entry->eip = FIELD(uint32_t, core->env, ENV_EIP);
    entry->cr2 = FIELD(uint32_t, core->env, ENV_CR + 8 * 2);
    entry->instructions = block_instructions(core);
}

/* Code breakpoints are not taken behind MOV SS and POP SS, so that the stack switch is not torn apart (Intel SDM Vol.
 * 3A, "Masking Exceptions and Interrupts When Switching Stacks").  QEMU's interrupt shadow is also STI's, which masks
 * no exceptions, but its last byte tells it from the others. */
bool shadow_of_stack_switch(const Core *core)
{
    return FIELD(uint32_t, core->env, ENV_HFLAGS) & HF_INHIBIT_IRQ &&
           (uint8_t)lib.read_code(core->env, (uint32_t)(linear_eip(core) - 1)) != STI;
}

static bool is_masked_breakpoint(Core *core, uint32_t vector)
{
    uint64_t dr6 = FIELD(uint64_t, core->env, ENV_DR + 8 * 6);
    return vector == VECTOR_DEBUG && dr6 & DR6_BREAKPOINTS && !(dr6 & (DR6_SINGLE_STEP | DR6_DEBUG_REGISTER)) &&
           shadow_of_stack_switch(core);
}

enum { EVENT_OF_LINE, EVENT_OF_NMI, EVENT_OF_EXCEPTION, EVENT_OF_PAGE_FAULT };

static void begin_timed_delivery(Core *core, uint32_t vector, DeliveryKind kind, Entry entry)
{
    timing_set_mark(core, 0);
    core->timing->repeats = 0; /* REP begins anew behind the handler */
    if (kind == DELIVERY_SOFTWARE)
        timing_begin_software_interrupt(core, entry);
    else if (kind == DELIVERY_INTERRUPT)
        timing_begin_event(core, vector == VECTOR_NMI ? EVENT_OF_NMI : EVENT_OF_LINE);
    else
        timing_begin_event(core, vector == VECTOR_PAGE_FAULT ? EVENT_OF_PAGE_FAULT : EVENT_OF_EXCEPTION);
}

/* `entry` is that of INT n, INT3 or INTO. */
static void deliver(Core *core, uint32_t vector, DeliveryKind kind, Entry entry)
{
    portable_fix_eflags(core);
    Call from = core->profile ? profile_before_delivery(core) : (Call){0};
    if (core->timing)
        begin_timed_delivery(core, vector, kind, entry);
    bool by_task = task_interrupt(core, vector, kind);
    if (!by_task && kind == DELIVERY_INTERRUPT)
        lib.do_hardware_interrupt(core->env, (int)vector, 1);
    else if (!by_task)
        lib.do_interrupt(core->cpu);
    if (!by_task)
        limits_changed(core->env);
    if (core->timing)
        timing_end_delivery(core);
    if (core->profile)
        profile_behind_delivery(core, &from, kind, vector);
}

static const Entry NO_ENTRY = {0};

static void on_exception(void *uc, uint32_t vector, void *data)
{
    Core *core = data;
    DeliveryKind kind = FIELD(uint32_t, core->env, ENV_EXCEPTION_IS_INT) ? DELIVERY_SOFTWARE : DELIVERY_EXCEPTION;
    Entry entry = NO_ENTRY;
    if (kind == DELIVERY_SOFTWARE) {
        /* INT n, INT3 and INTO have retired.  Unicorn has moved EIP behind them, and a fault during delivery must find
         * it at the instruction.  INTO does not end its block. */
        void *tb = current_block(core);
        if (tb) {
            uint64_t base = FIELD(uint64_t, core->env, ENV_SEGS + SEG_CS * SEG_SIZE + SEG_BASE);
            int number = number_of_instruction_before(tb, linear_eip(core));
            FIELD(uint64_t, core->env, ENV_EIP) = (uint32_t)(pc_of_instruction(tb, number) - base);
            entry = core->timing ? timing_entry(core, tb, number) : NO_ENTRY;
        }
        take_back_unexecuted(core, linear_eip(core), true);
        record_delivery(core, kind, vector, 0);
    } else if (is_masked_breakpoint(core, vector)) {
        take_back_unexecuted(core, linear_eip(core), false);
        FIELD(uint32_t, core->env, ENV_EFLAGS) |= EFLAGS_RF; /* the instruction is executed without it */
        rearm(core);
        return;
    } else {
        bool is_trap = vector == VECTOR_DEBUG && (FIELD(uint64_t, core->env, ENV_DR + 8 * 6) & DR6_SINGLE_STEP);
        if (is_trap)
            set_current_block(core, NULL); /* the block has ended, and EIP is that of the next one */
        else
            watch_forget_instruction(core);
        take_back_unexecuted(core, linear_eip(core), false);
        if (vector == VECTOR_DEBUG)
            debug_trap_begins(core);
        else if (vector == VECTOR_PAGE_FAULT)
            observe_page_fault(core);
        if (vector == VECTOR_PAGE_FAULT && core->lint)
            tlb_lint_page_fault(core);
        if (vector == VECTOR_PAGE_FAULT && core->memory)
            memory_page_fault(core);
        record_delivery(core, kind, vector, FIELD(uint32_t, core->env, ENV_ERROR_CODE));
    }
    rearm(core);
    deliver(core, vector, kind, entry);
}

static bool on_undefined_opcode(void *uc, void *data)
{
    Core *core = data;
    if (core->native)
        refuse_raise(core);
    take_back_unexecuted(core, linear_eip(core), false);
    record_delivery(core, DELIVERY_EXCEPTION, VECTOR_UNDEFINED_OPCODE, 0);
    rearm(core);
    deliver(core, VECTOR_UNDEFINED_OPCODE, DELIVERY_EXCEPTION, NO_ENTRY);
    return true;
}

void run_due_events(Core *core)
{
    int64_t now = block_ticks(core);
    while (now >= core->deadline && !core->stop_requested) {
        PyObject *next = PyObject_CallFunction(core->on_due, "L", (long long)now);
        if (!next) {
            keep_error(core);
            return;
        }
        core->deadline = PyLong_AsLongLong(next);
        Py_DECREF(next);
        if (PyErr_Occurred()) {
            keep_error(core);
            return;
        }
    }
}

static int acknowledge(Core *core)
{
    PyObject *vector = PyObject_CallNoArgs(core->on_acknowledge);
    long number = vector ? PyLong_AsLong(vector) : -1;
    Py_XDECREF(vector);
    if (PyErr_Occurred())
        keep_error(core);
    return number >= 0 && number < 256 ? (int)number : -1;
}

/* No second one before the first one's IRET, and none behind MOV SS. */
bool nmi_is_deliverable(const Core *core)
{
    return core->nmi_pending && !(FIELD(uint32_t, core->env, ENV_HFLAGS2) & HF2_NMI) &&
           !(FIELD(uint32_t, core->env, ENV_HFLAGS) & HF_INHIBIT_IRQ);
}

static void deliver_interrupt(Core *core, int vector)
{
    set_current_block(core, NULL);
    record_delivery(core, DELIVERY_INTERRUPT, (uint32_t)vector, 0);
    rearm(core);
    deliver(core, (uint32_t)vector, DELIVERY_INTERRUPT, NO_ENTRY);
}

/* Takes the place of x86_cpu_exec_interrupt(): runs between blocks, when CPU_INTERRUPT_HARD is set. */
static bool on_interrupt_request(void *cpu, int request)
{
    Core *core = core_of_cpu(cpu);
    if (!(request & CPU_INTERRUPT_HARD))
        return core->original_exec_interrupt(cpu, request);
    if (core->hold > block_instructions(core))
        return false; /* a stop cut the block here: the place to look is its end */

    if (observe_is_pending(core))
        observe_tell(core);
    if (!core->seen.stop && debug_trap_is_due(core))
        debug_trap_raise(core); /* before the interrupt, which comes at the handler's first instruction */
    core->attention = false;
    if (!core->seen.stop)
        run_due_events(core);
    if (core->stop_requested || core->seen.stop) {
        core->attention = true; /* for the next run */
        core->stop = core->seen.stop ? STOP_WATCHPOINT : STOP_REQUESTED;
        core->seen.stop = false;
        leave_at_block_start(core, BLOCK_STOP);
        return false;
    }
    /* The request bit stays set while the line is high and IF is clear: every instruction that can set IF ends its
     * block in the main loop, which then comes here again. */
    bool delivered = false;
    if (nmi_is_deliverable(core)) {
        core->nmi_pending = false;
        FIELD(uint32_t, core->env, ENV_HFLAGS2) |= HF2_NMI;
        deliver_interrupt(core, VECTOR_NMI);
        delivered = true;
    } else if (core->interrupt_line && lib.pending_interrupt(cpu, CPU_INTERRUPT_HARD) == CPU_INTERRUPT_HARD) {
        int vector = acknowledge(core);
        if (vector >= 0) {
            deliver_interrupt(core, vector);
            delivered = true;
        }
    }
    if (!core->interrupt_line && !core->nmi_pending)
        FIELD(uint32_t, cpu, CPU_INTERRUPT_REQUEST) &= ~CPU_INTERRUPT_HARD;
    rearm(core);
    return delivered;
}

bool exceptions_install(Core *core)
{
    uintptr_t hook;
    int error = lib.hook_add(core->uc, &hook, HOOK_INTR, (void *)on_exception, core, 1, 0);
    if (!error)
        error = lib.hook_add(core->uc, &hook, HOOK_INSN_INVALID, (void *)on_undefined_opcode, core, 1, 0);
    if (error) {
        PyErr_Format(PyExc_RuntimeError, "Unicorn refuses the exception hooks: %s", lib.strerror(error));
        return false;
    }
    void *class = FIELD(void *, core->cpu, CPU_CLASS);
    core->original_exec_interrupt = FIELD(void *, class, CLASS_EXEC_INTERRUPT);
    FIELD(void *, class, CLASS_EXEC_INTERRUPT) = (void *)on_interrupt_request;
    return true;
}
