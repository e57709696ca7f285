"""Cycles of a Cortex-M4, estimated from how often each instruction was executed.

The manual is the Cortex-M4 Technical Reference Manual, ARM DDI 0439D: tables 3-1 and 3-2 for the instructions,
section 3.3.2 for loads and stores, table 7-1 for the FPU. What is assumed:

- Data processing, DSP and all integer multiplications take 1 cycle; a division 7 of the manual's 2 to 12.
- Whatever goes on elsewhere than at the next instruction takes P cycles more to refill the pipeline: 2 of the
  manual's 1 to 3. How often it did was counted, for every instruction; branches are not guessed.
- A load takes 2 cycles, 1 right after another load whose result is not part of its address. LDM, POP, LDRD and the
  like take 1 + N.
- A store with an immediate offset takes 1 cycle, with a register offset 2, or 1 right after a load. STM, PUSH and
  STRD take 1 + N.
- One cycle more when the address comes from the data processing instruction just before.
- Unaligned loads take 1 or 2 cycles more, as counted; unaligned stores are hidden by the write buffer.
- IT takes no cycle after a 16-bit instruction, otherwise 1. An instruction whose condition fails costs like another.
- The pessimistic figures take P = 3, a division at 12, IT at 1, one cycle more for every load relative to the PC,
  and pipeline no 32-bit load or store that stands at an odd halfword.

"Right after" means in memory, and only where no execution came from anywhere else. Memory has no wait states: no
stall of flash, cache or write buffer is in the figures. A board whose flash is slower than its core takes longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One line of a disassembly; `operands` as objdump prints them, without its comment."""

    address: int
    size: int
    mnemonic: str
    operands: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What happened at one address: executed, went on elsewhere than at the next instruction, cycles unaligned."""

    executed: int
    jumped: int = 0
    penalty: int = 0


@dataclass(frozen=True, kw_only=True)
class Timings:
    """What the manual leaves open. Cycles."""

    refill: int
    division: int
    folds_it: bool
    pc_relative_load: int
    pipelines_odd_wide: bool


ESTIMATE = Timings(refill=2, division=7, folds_it=True, pc_relative_load=0, pipelines_odd_wide=True)
PESSIMISTIC = Timings(refill=3, division=12, folds_it=False, pc_relative_load=1, pipelines_odd_wide=False)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ONE_CYCLE = _words(
    """
    adc add addw adr and asr bfc bfi bic clz cmn cmp eor lsl lsr mla mls mov movt movw mul mvn neg nop orn orr ror rrx
    rbit rev rev16 revsh rsb sbc sbfx sub subw teq tst ubfx clrex sel sev
    qadd qdadd qdsub qsub ssat ssat16 usat usat16 usad8 usada8 pkhbt pkhtb
    smlal smull umaal umlal umull smmla smmlar smmls smmlsr smmul smmulr
    smlad smladx smlald smlaldx smlsd smlsdx smlsld smlsldx smuad smuadx smusd smusdx
    smlabb smlabt smlatb smlatt smlalbb smlalbt smlaltb smlaltt smlawb smlawt smulbb smulbt smultb smulwb smulwt smultt
    sxtab sxtab16 sxtah sxtb sxtb16 sxth uxtab uxtab16 uxtah uxtb uxtb16 uxth
    vabs vadd vcmp vcmpe vcvt vcvtb vcvtr vcvtt vmov vmrs vmsr vmul vneg vnmul vsub
    """
)
PARALLEL = re.compile(r"(s|q|sh|u|uq|uh)(add8|add16|sub8|sub16|asx|sax)")
IF_THEN = re.compile(r"it[te]{0,3}")
BRANCHES = _words("b bl blx bx cbnz cbz")
TABLE_BRANCHES = _words("tbb tbh")
DIVISIONS = _words("sdiv udiv")
FLOAT_MULTIPLY_ADD = _words("vfma vfms vfnma vfnms vmla vmls vnmla vnmls")
FLOAT_DIVISIONS = _words("vdiv vsqrt")
LOADS = _words("ldr ldrb ldrh ldrsb ldrsh")
STORES = _words("str strb strh")
DOUBLES = _words("ldrd strd")
FLOAT_SINGLES = _words("vldr vstr")
MULTIPLES = _words("ldm ldmia ldmdb pop push stm stmia stmdb vldm vldmia vldmdb vpop vpush vstm vstmia vstmdb")
WITHOUT_RESULT = _words("cmn cmp nop sev teq tst vcmp vcmpe vmsr")
TWO_RESULTS = re.compile(r"[su]ml(al|sl).*|[su]mull|umaal")
TIMED = (
    ONE_CYCLE
    | BRANCHES
    | TABLE_BRANCHES
    | DIVISIONS
    | FLOAT_MULTIPLY_ADD
    | FLOAT_DIVISIONS
    | LOADS
    | STORES
    | DOUBLES
    | FLOAT_SINGLES
    | MULTIPLES
)
CONDITION = re.compile(r"(.+)(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al)")
CORE_REGISTER = re.compile(r"\b(r\d+|sl|fp|ip|sp|lr|pc)\b")
LINE = re.compile(r"\s*([0-9a-f]+):\t((?:[0-9a-f]{4} ?)+)\s*\t(\S+)(?:\t(.*))?")


def read_disassembly(text: str) -> list[Instruction]:
    """Read the instructions that `arm-none-eabi-objdump -d` prints, in its order; data between them are left out."""
    return [
        Instruction(
            address=int(match[1], 16),
            size=len(match[2].replace(" ", "")) // 2,
            mnemonic=match[3],
            operands=re.split("[;@]", match[4] or "")[0].strip(),
        )
        for match in map(LINE.match, text.splitlines())
        if match is not None and not match[3].startswith(".")
    ]


def read_counts(text: str) -> dict[int, Counts]:
    """Read what instruction_counts.c writes, by address."""
    rows = (map(int, line.split(",")) for line in text.splitlines())
    return {
        address: Counts(executed=executed, jumped=jumped, penalty=penalty)
        for address, executed, jumped, penalty in rows
    }


def cycles(program: Iterable[Instruction], counts: Mapping[int, Counts], timings: Timings) -> int:
    """Estimate the cycles of all counted instructions.

    Raises ValueError for an executed instruction that has no timing here, or that is not in the program.
    """
    executed = sorted((line for line in program if line.address in counts), key=lambda line: line.address)
    missing = counts.keys() - {line.address for line in executed}
    if missing:
        raise ValueError(f"executed, but not in the disassembly: {', '.join(map(hex, sorted(missing)))}")
    total = 0
    before: Instruction | None = None
    for line in executed:
        at = counts[line.address]
        previous = before if before is not None and _always_follows(before, line, counts) else None
        total += at.executed * cost(line, previous, timings) + at.jumped * timings.refill + at.penalty
        before = line
    return total


def cost(line: Instruction, previous: Instruction | None, timings: Timings) -> int:
    """Cycles of one instruction that goes on at the next one; `previous` is None where it is not certain."""
    name = base_mnemonic(line)
    if IF_THEN.fullmatch(name):
        folded = timings.folds_it and previous is not None and previous.size == 2
        return 0 if folded else 1
    if name in DIVISIONS:
        return timings.division
    if name in FLOAT_DIVISIONS:
        return 14
    if name in FLOAT_MULTIPLY_ADD:
        return 3
    if name == "vmov":
        return 2 if len(CORE_REGISTER.findall(line.operands)) > 1 else 1
    if "[" in line.operands or name in MULTIPLES:
        return _access(name, line, previous, timings) + _address_stall(line, previous)
    return 1


def base_mnemonic(line: Instruction) -> str:
    """The mnemonic without width, type, condition and S: `addseq.w` is `add`.

    Raises ValueError when no timing is known for it.
    """
    name = line.mnemonic.split(".")[0]
    condition = CONDITION.fullmatch(name)
    unconditional = condition[1] if condition else name
    for plain in (name, unconditional, name.removesuffix("s"), unconditional.removesuffix("s")):
        if plain in TIMED or PARALLEL.fullmatch(plain) or IF_THEN.fullmatch(plain):
            return plain
    raise ValueError(f"no timing for {line.mnemonic} {line.operands} at {line.address:#x}")


def _always_follows(before: Instruction, line: Instruction, counts: Mapping[int, Counts]) -> bool:
    """Say whether every execution of a line came from the one before it in memory."""
    if before.address + before.size != line.address or counts[before.address].jumped:
        return False
    return counts[before.address].executed == counts[line.address].executed


def _access(name: str, line: Instruction, previous: Instruction | None, timings: Timings) -> int:
    """Cycles of a load or a store; stalls for its address aside."""
    if name in TABLE_BRANCHES:
        return 3
    if name in MULTIPLES:
        return 1 + _words_in_list(line.operands)
    if name in DOUBLES:
        return 3
    if name in FLOAT_SINGLES:
        return 3 if line.operands.startswith("d") else 2
    if name in STORES and len(_address_registers(line)) == 1:
        return 1
    pc_relative = timings.pc_relative_load if "[pc" in line.operands else 0
    return (1 if _is_pipelined(line, previous, timings) else 2) + pc_relative


def _is_pipelined(line: Instruction, previous: Instruction | None, timings: Timings) -> bool:
    if previous is None or base_mnemonic(previous) not in LOADS:
        return False
    if not timings.pipelines_odd_wide and line.size == 4 and line.address % 4 == 2:
        return False
    return previous.operands.split(",")[0] not in _address_registers(line)


def _address_stall(line: Instruction, previous: Instruction | None) -> int:
    """There is no forwarding from a result to an address."""
    if previous is None or "[" in previous.operands or "[" not in line.operands:
        return 0
    name = base_mnemonic(previous)
    if name in WITHOUT_RESULT or name in BRANCHES or name in MULTIPLES or IF_THEN.fullmatch(name):
        return 0
    results = 2 if TWO_RESULTS.fullmatch(name) else 1
    written = {word.strip() for word in previous.operands.split(",")[:results]}
    return 1 if written & _address_registers(line) else 0


def _address_registers(line: Instruction) -> set[str]:
    """Base and index: what stands in the brackets."""
    return set(CORE_REGISTER.findall(line.operands.partition("[")[2].partition("]")[0]))


def _words_in_list(operands: str) -> int:
    """Count the words of a register list like {r4, r5, lr}, {s16-s19} or {d8-d9}; a double is two."""
    words = 0
    for part in operands.partition("{")[2].partition("}")[0].split(","):
        first, _, last = part.strip().partition("-")
        registers = 1 if not last else int(last[1:]) - int(first[1:]) + 1
        words += registers * (2 if first.startswith("d") else 1)
    return words
