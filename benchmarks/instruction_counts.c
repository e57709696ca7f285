/* A plugin of QEMU 7 (TCG plugin API version 1): how often every instruction of one timed inference is executed.
 *
 *   -plugin libinstruction_counts.so,open=ADDRESS,close=ADDRESS,low=ADDRESS,high=ADDRESS,out=FILE
 *
 * The window lasts from the instruction at `open` to the one at `close`, which is not counted. When it closes, FILE
 * is written anew, so it holds the last window: one line `address,executed,jumped,penalty` for each instruction in
 * [low, high) that was executed. `jumped` is how often another than the next instruction in memory came after it,
 * `penalty` the cycles that its unaligned loads cost a Cortex-M4 (DDI 0439D, section 3.3.2).
 *
 * QEMU's packages bring no header for plugins, so what is used of it stands here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS = 0 };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1 };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

typedef void (*translated)(qemu_plugin_id_t id, struct qemu_plugin_tb *block);
typedef void (*executed)(unsigned int cpu, void *data);
typedef void (*accessed)(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translated callback);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, executed callback,
                                                 enum qemu_plugin_cb_flags flags, void *data);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction, executed callback,
                                                   enum qemu_plugin_cb_flags flags, void *data);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *instruction, enum qemu_plugin_op op,
                                                       void *counter, uint64_t addend);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *instruction, accessed callback,
                                             enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw which,
                                             void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *instruction);
extern unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED extern int qemu_plugin_version;
EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments);

typedef struct {
    uint64_t address;
    uint64_t executed;
    uint64_t jumped;
    uint64_t penalty;
} counts;

/* A translated block: straight-line code. It lives as long as the emulator does. */
typedef struct {
    uint64_t start;
    uint64_t end;
    counts *last;
} block;

static uint64_t window_open;
static uint64_t window_close;
static uint64_t low;
static uint64_t high;
static const char *out;

/* One entry for every halfword of the program: Thumb instructions are halfword aligned. */
static counts *table;
static const block *previous_block;

static size_t table_entries(void) {
    return (size_t)(high - low) / 2u;
}

static counts *counts_at(uint64_t address) {
    return &table[(address - low) / 2u];
}

static bool is_counted(uint64_t address) {
    return address >= low && address < high;
}

static void enter_block(unsigned int cpu, void *data) {
    (void)cpu;
    const block *entered = data;
    if (previous_block != NULL && previous_block->last != NULL && previous_block->end != entered->start) {
        previous_block->last->jumped += 1u;
    }
    previous_block = entered;
}

static void load(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
    (void)cpu;
    counts *at = data;
    const unsigned int shift = qemu_plugin_mem_size_shift(info);
    if (shift == 0u) {
        return;
    }
    if ((address & 1u) != 0u) {
        at->penalty += shift == 1u ? 1u : 2u;
    } else if (shift > 1u && (address & 2u) != 0u) {
        at->penalty += 1u;
    }
}

static void begin_window(unsigned int cpu, void *data) {
    (void)cpu;
    (void)data;
    for (size_t i = 0u; i < table_entries(); ++i) {
        table[i] = (counts){.address = low + 2u * i};
    }
}

static void end_window(unsigned int cpu, void *data) {
    (void)cpu;
    (void)data;
    FILE *file = fopen(out, "w");
    if (file == NULL) {
        perror(out);
        exit(EXIT_FAILURE);
    }
    for (size_t i = 0u; i < table_entries(); ++i) {
        const counts *at = &table[i];
        if (at->executed != 0u) {
            fprintf(file, "%llu,%llu,%llu,%llu\n", (unsigned long long)at->address, (unsigned long long)at->executed,
                    (unsigned long long)at->jumped, (unsigned long long)at->penalty);
        }
    }
    if (fclose(file) != 0) {
        perror(out);
        exit(EXIT_FAILURE);
    }
}

static void count_instruction(struct qemu_plugin_insn *instruction) {
    const uint64_t address = qemu_plugin_insn_vaddr(instruction);
    if (!is_counted(address)) {
        return;
    }
    counts *at = counts_at(address);
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &at->executed, 1u);
    qemu_plugin_register_vcpu_mem_cb(instruction, load, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_R, at);
    if (address == window_open) {
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, begin_window, QEMU_PLUGIN_CB_NO_REGS, NULL);
    }
    if (address == window_close) {
        qemu_plugin_register_vcpu_insn_exec_cb(instruction, end_window, QEMU_PLUGIN_CB_NO_REGS, NULL);
    }
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *translated_block) {
    (void)id;
    const size_t size = qemu_plugin_tb_n_insns(translated_block);
    block *kept = malloc(sizeof *kept);
    if (kept == NULL || size == 0u) {
        free(kept);
        return;
    }
    const struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(translated_block, size - 1u);
    const uint64_t last_address = qemu_plugin_insn_vaddr(last);
    kept->start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(translated_block, 0u));
    kept->end = last_address + qemu_plugin_insn_size(last);
    kept->last = is_counted(last_address) ? counts_at(last_address) : NULL;
    qemu_plugin_register_vcpu_tb_exec_cb(translated_block, enter_block, QEMU_PLUGIN_CB_NO_REGS, kept);
    for (size_t i = 0u; i < size; ++i) {
        count_instruction(qemu_plugin_tb_get_insn(translated_block, i));
    }
}

static const char *value_of(const char *name, int count, char **arguments) {
    const size_t length = strlen(name);
    for (int i = 0; i < count; ++i) {
        if (strncmp(arguments[i], name, length) == 0 && arguments[i][length] == '=') {
            return arguments[i] + length + 1u;
        }
    }
    return NULL;
}

static bool read_address(const char *name, int count, char **arguments, uint64_t *address) {
    const char *text = value_of(name, count, arguments);
    if (text == NULL) {
        return false;
    }
    char *rest = NULL;
    *address = strtoull(text, &rest, 0);
    return rest != text && *rest == '\0';
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int count, char **arguments) {
    (void)info;
    const char *path = value_of("out", count, arguments);
    if (path == NULL || !read_address("open", count, arguments, &window_open) ||
        !read_address("close", count, arguments, &window_close) || !read_address("low", count, arguments, &low) ||
        !read_address("high", count, arguments, &high) || high <= low) {
        fprintf(stderr, "instruction_counts: needs open=, close=, low=, high= (addresses) and out= (a file)\n");
        return -1;
    }
    out = strdup(path);
    table = calloc(table_entries(), sizeof *table);
    if (out == NULL || table == NULL) {
        fprintf(stderr, "instruction_counts: no memory\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    return 0;
}
