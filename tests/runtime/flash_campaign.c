/* Power cuts and faults of the flash during updates of model slots. benchmarks/campaign/flash.py builds and runs it.
 *
 *   flash_campaign IMAGES SECTOR SLOT UNIT STABLE|UNSTABLE singles              every cut of every scenario
 *   flash_campaign IMAGES SECTOR SLOT UNIT STABLE|UNSTABLE pairs                every pair of cuts
 *   flash_campaign IMAGES SECTOR SLOT UNIT STABLE|UNSTABLE random CUTS RUNS SEED
 *   flash_campaign IMAGES SECTOR SLOT UNIT STABLE faults RUNS SEED              stuck bits, failing and lying operations
 *   flash_campaign IMAGES SECTOR SLOT UNIT STABLE wear                          erases and writes of whole updates
 *
 * Prints a name and a number a line; the first violation is described on stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nor.h"
#include "slot_host.h"

enum { MOST_CUTS = 8 };

typedef struct {
    nor_moment moment;
    uint32_t at;
} cut;

static nor_content before;
static struct {
    uint64_t runs, cuts, starts, violations, rule_breaks, undetected, harmless, detected, most_erases;
} total;

static void describe(scenario which, const cut *cuts, uint32_t count) {
    (void)fprintf(stderr, "%s: %s; rule breaks %u; cuts", scenario_names[which],
                  report.violation == NULL ? "none" : report.violation, nor.rule_breaks);
    for (uint32_t i = 0u; i < count; ++i) {
        (void)fprintf(stderr, " %u/%u", (unsigned)cuts[i].moment, cuts[i].at);
    }
    (void)fprintf(stderr, "\n");
}

/* True when the cut came before the work was done. */
static bool run_until(const cut *c) {
    nor.cut = c->moment;
    nor.cut_at = c->at;
    nor.operations = 0u;
    if (setjmp(nor.on_cut) != 0) {
        nor.cut = NOR_NEVER;
        return true;
    }
    slot_host_run();
    nor.cut = NOR_NEVER;
    return false;
}

static void begin_run(scenario which, uint32_t seed) {
    nor_heal();
    nor_restore(&before);
    nor_seed(seed);
    slot_host_begin(which);
}

/* Cuts one after the other, then a run without: it must reach what the scenario wants. How many of them came to pass. */
static uint32_t run_with_cuts(scenario which, const cut *cuts, uint32_t count, uint32_t seed) {
    static const cut never = {NOR_NEVER, 0u};
    uint32_t passed = 0u;
    begin_run(which, seed);
    while (passed < count && run_until(&cuts[passed])) {
        ++passed;
    }
    (void)run_until(&never);
    slot_host_expect(report.is_done, "the update is not done");
    slot_host_expect(nor.rule_breaks == 0u, "a rule of the flash is broken");
    ++total.runs;
    total.cuts += passed;
    total.starts += report.starts;
    total.rule_breaks += nor.rule_breaks;
    total.violations += report.violations;
    if (report.violations != 0u && total.violations == report.violations) {
        describe(which, cuts, passed);
    }
    return passed;
}

static void prepare(const edgert_flash_layout *layout, scenario which) {
    const bool is_unstable = nor.is_unstable;
    nor_start(layout);
    nor.is_unstable = is_unstable;
    slot_host_prepare(which);
    total.violations += report.violations;
    if (report.violations != 0u) {
        describe(which, NULL, 0u);
    }
    nor_keep(&before);
}

static const nor_moment moments[] = {NOR_BEFORE, NOR_INSIDE, NOR_AFTER};

static void all_singles(scenario which) {
    uint32_t passed = 1u;
    for (uint32_t at = 0u; passed != 0u; ++at) {
        passed = 0u;
        for (uint32_t m = 0u; m < 3u; ++m) {
            passed += run_with_cuts(which, &(cut){moments[m], at}, 1u, 3u * at + m);
        }
    }
}

/* A cut before an operation leaves the flash as the one after the operation before it: pairs are made of two kinds. */
static void all_seconds(scenario which, cut first, uint32_t *passed_first) {
    uint32_t passed = 2u;
    for (uint32_t at = 0u; passed == 2u; ++at) {
        for (uint32_t m = 1u; m < 3u; ++m) {
            const cut cuts[] = {first, {moments[m], at}};
            passed = run_with_cuts(which, cuts, 2u, 7919u * first.at + 31u * at + m);
        }
    }
    *passed_first = passed;
}

static void all_pairs(scenario which) {
    uint32_t passed = 1u;
    for (uint32_t at = 0u; passed != 0u; ++at) {
        for (uint32_t m = 1u; m < 3u; ++m) {
            all_seconds(which, (cut){moments[m], at}, &passed);
        }
    }
}

static uint32_t operations_of(scenario which) {
    begin_run(which, 1u);
    slot_host_run();
    return nor.operations;
}

static void random_cuts(scenario which, uint32_t count, uint32_t runs, uint32_t seed) {
    const uint32_t operations = operations_of(which);
    for (uint32_t run = 0u; run < runs; ++run) {
        cut cuts[MOST_CUTS];
        nor_seed(seed + run);
        for (uint32_t i = 0u; i < count; ++i) {
            cuts[i].moment = moments[nor_random(3u)];
            cuts[i].at = nor_random(nor_random(3u) == 0u ? 12u : operations);
        }
        (void)run_with_cuts(which, cuts, count, seed + run);
    }
}

/* A fault of the flash where the update writes: a stuck bit, or an operation that fails, lies or is done in part. */
static void plant_fault(uint32_t operations) {
    const uint32_t kind = nor_random(5u);
    if (kind < 2u) {
        nor.stuck_at = nor.layout.slot_origin[1] + nor_random(nor.layout.slot_bytes);
        nor.stuck_mask = (uint8_t)(1u << nor_random(8u));
        nor.stuck_value = kind == 0u ? 0xFFu : 0u;
        return;
    }
    nor.failure = kind == 2u ? NOR_FAILS : kind == 3u ? NOR_LIES : NOR_TEARS;
    nor.failure_at = nor_random(operations);
}

/* The device must say that it failed, or everything must be right in spite of the fault; then the old network still starts. */
static void run_with_fault(scenario which, uint32_t operations, uint32_t seed) {
    begin_run(which, seed);
    plant_fault(operations);
    slot_host_run();
    const bool is_detected = report.complaints != 0u || !report.is_done;
    nor.failure = NOR_WORKS;
    nor.stuck_mask = 0u;
    slot_host_decay();
    ++total.runs;
    total.starts += report.starts;
    total.violations += report.violations;
    total.detected += is_detected ? 1u : 0u;
    total.harmless += !is_detected && report.violations == 0u ? 1u : 0u;
    total.undetected += !is_detected && report.violations != 0u ? 1u : 0u;
    if (report.violations != 0u && total.violations == report.violations) {
        describe(which, NULL, 0u);
    }
}

static void random_faults(scenario which, uint32_t runs, uint32_t seed) {
    const uint32_t operations = operations_of(which);
    for (uint32_t run = 0u; run < runs; ++run) {
        run_with_fault(which, operations, seed + run);
    }
}

static void whole_update(scenario which) {
    begin_run(which, 1u);
    slot_host_run();
    slot_host_expect(report.is_done, "the update is not done");
    ++total.runs;
    total.violations += report.violations;
    for (uint32_t i = 0u; i < EDGERT_SLOTS * nor.layout.slot_bytes / nor.layout.sector_bytes; ++i) {
        total.most_erases = nor.erases[i] > total.most_erases ? nor.erases[i] : total.most_erases;
    }
    (void)printf("%s_writes %u\n", scenario_names[which], nor.writes);
    nor_heal();
    slot_host_run();
    slot_host_expect(nor.operations == 0u, "equal content is written again");
    total.violations += report.violations;
}

static uint32_t number(char *const *words, int count, int index) {
    return index < count ? (uint32_t)strtoul(words[index], NULL, 10) : 0u;
}

static void run_campaign(const char *mode, scenario which, const uint32_t arguments[3]) {
    if (strcmp(mode, "singles") == 0) {
        all_singles(which);
    } else if (strcmp(mode, "pairs") == 0) {
        all_pairs(which);
    } else if (strcmp(mode, "random") == 0) {
        random_cuts(which, arguments[0] < MOST_CUTS ? arguments[0] : MOST_CUTS, arguments[1], arguments[2]);
    } else if (strcmp(mode, "faults") == 0) {
        random_faults(which, arguments[0], arguments[1]);
    } else {
        whole_update(which);
    }
}

int main(int count, char **words) {
    if (count < 7 || !slot_host_read(words[1])) {
        (void)fprintf(stderr, "usage: flash_campaign IMAGES SECTOR SLOT UNIT STABLE|UNSTABLE MODE [NUMBERS]\n");
        return 2;
    }
    const uint32_t slot_bytes = number(words, count, 3);
    const edgert_flash_layout layout = {{NOR_ORIGIN, NOR_ORIGIN + slot_bytes},
                                        slot_bytes,
                                        number(words, count, 2),
                                        number(words, count, 4),
                                        0x20001000u,
                                        0x1000u};
    nor.is_unstable = strcmp(words[5], "UNSTABLE") == 0;
    const uint32_t arguments[3] = {number(words, count, 7), number(words, count, 8), number(words, count, 9)};
    for (uint32_t which = 0u; which < SCENARIOS; ++which) {
        prepare(&layout, (scenario)which);
        run_campaign(words[6], (scenario)which, arguments);
    }
    (void)printf("runs %llu\ncuts %llu\nstarts %llu\nviolations %llu\nrule_breaks %llu\n",
                 (unsigned long long)total.runs, (unsigned long long)total.cuts, (unsigned long long)total.starts,
                 (unsigned long long)total.violations, (unsigned long long)total.rule_breaks);
    (void)printf("detected %llu\nharmless %llu\nundetected %llu\nmost_erases %llu\n",
                 (unsigned long long)total.detected, (unsigned long long)total.harmless,
                 (unsigned long long)total.undetected, (unsigned long long)total.most_erases);
    return 0;
}
