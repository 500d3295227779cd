/* The list of operations that a block is translated to: a QTAILQ of QEMU, whose links are two words, the next
 * operation and the address of the previous one's link; the list's head takes part as a link. */
#include "core.h"

static char *link_of(void *tcg, char *op) { return op ? op + OP_LINK : (char *)tcg + TCG_OPS; }

void *last_op(void *tcg) { return FIELD(char *, tcg, TCG_OPS + 8) - OP_LINK; }

void *previous_op(void *tcg, void *op)
{
    char *link = FIELD(char *, op, OP_LINK + 8);
    return link == (char *)tcg + TCG_OPS ? NULL : link - OP_LINK;
}

void op_move_behind(void *tcg, void *op, void *place)
{
    if (op == place)
        return;
    char *next = FIELD(char *, op, OP_LINK), *previous_link = FIELD(char *, op, OP_LINK + 8);
    FIELD(char *, previous_link, 0) = next;
    FIELD(char *, link_of(tcg, next), 8) = previous_link;

    next = FIELD(char *, place, OP_LINK);
    FIELD(char *, op, OP_LINK) = next;
    FIELD(char *, op, OP_LINK + 8) = (char *)place + OP_LINK;
    FIELD(char *, link_of(tcg, next), 8) = (char *)op + OP_LINK;
    FIELD(void *, place, OP_LINK) = op;
}

/* What was emitted behind `last` goes behind `place`. */
void move_emitted(void *tcg, void *last, void *place)
{
    while (last_op(tcg) != last) {
        void *op = FIELD(void *, last, OP_LINK);
        if (op == place)
            break;
        op_move_behind(tcg, op, place);
        place = op;
    }
}

bool is_in_instruction(const void *op) { return op && FIELD(uint8_t, op, OP_OPCODE) != OPC_INSN_START; }

void *op_of_kind(const void *op, int kind)
{
    do
        op = next_op(op);
    while (is_in_instruction(op) && FIELD(uint8_t, op, OP_OPCODE) != kind);
    return is_in_instruction(op) ? (void *)op : NULL;
}

void *op_instruction_from(void *op)
{
    while (is_in_instruction(op))
        op = next_op(op);
    return op;
}
