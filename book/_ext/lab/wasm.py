"""Write the lab's inner loops as a WebAssembly module, byte by byte.

Two functions on 32-bit floats, with SIMD. Their names below are those of the
WebAssembly text format. There are two modules: one multiplies and adds in one
instruction of "relaxed SIMD", which is twice as fast where the processor has it, and
one does it in two, for browsers that do not know that instruction.

``gemm(C, A, B, bias, m, k, n)``
    C[m, n] = A[m, k] B[k, n] + bias[n] in every row; m a multiple of 4, n of 8. A
    block of 4 rows and 8 columns stays in eight registers while k runs.
``axpy(y, x, scale, n)``
    y += scale x, in vectors of 4: both arrays must have room for a whole last one.
"""

import base64

I32, F32, V128 = 0x7F, 0x7D, 0x7B
ROWS, VECTORS = 4, 2  # a block: 4 rows, 2 vectors of 4 floats

LOOP, BR_IF, END, EMPTY = 0x03, 0x0D, 0x0B, 0x40
ADD, SUB, MUL, SHL = b"\x6a", b"\x6b", b"\x6c", b"\x74"
LESS, GREATER = b"\x49", b"\x4a"  # i32.lt_u, i32.gt_s
LOAD, LOAD_SPLAT, STORE, SPLAT = b"\xfd\x00", b"\xfd\x09", b"\xfd\x0b", b"\xfd\x13"
F32_ADD, F32_MUL = b"\xfd\xe4\x01", b"\xfd\xe6\x01"
F32_MADD = b"\xfd\x85\x02"  # f32x4.relaxed_madd: a, b, c become a b + c


def number(value):
    """Return an unsigned integer in LEB128, the format's own encoding."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + number(rest) if rest else bytes([low])


def const(value):
    """Return an i32.const; it is signed, so one byte holds less than 64."""
    assert 0 <= value < 64
    return b"\x41" + bytes([value])


def memory(instruction, offset=0):
    """Return a load or store of a vector, aligned to 4 bytes."""
    return instruction + number(2) + number(offset)


def loop(*body, until):
    """Repeat the body while ``until`` leaves a number that is not 0."""
    return bytes([LOOP, EMPTY]) + b"".join(body) + until + bytes([BR_IF, 0, END])


class Function:
    """A function's parameters and locals by name, and its code."""

    def __init__(self, name, parameters, **more):
        self.name, self.parameters = name, parameters
        self.locals = more
        self.names = [*parameters, *more]
        self.code = b""

    def get(self, name):
        return b"\x20" + number(self.names.index(name))

    def put(self, name, *value):
        return b"".join(value) + b"\x21" + number(self.names.index(name))

    def tee(self, name, *value):
        """Return what puts a value and leaves it there."""
        return b"".join(value) + b"\x22" + number(self.names.index(name))

    def plus(self, name, *value):
        return self.put(name, self.get(name), *value, ADD)

    def signature(self):
        kinds = bytes(self.parameters.values())
        return b"\x60" + number(len(kinds)) + kinds + number(0)

    def body(self):
        kinds = b"".join(b"\x01" + bytes([kind]) for kind in self.locals.values())
        content = number(len(self.locals)) + kinds + self.code + bytes([END])
        return number(len(content)) + content


def gemm(fused):
    counters = "i j p k_bytes n_bytes a_at b_at c_at column".split()
    sums = {f"sum{r}{v}": (r, v) for r in range(ROWS) for v in range(VECTORS)}
    f = Function(
        "gemm",
        dict.fromkeys(("C", "A", "B", "bias", "m", "k", "n"), I32),
        **dict.fromkeys(counters, I32),
        **dict.fromkeys(("b0", "b1", "a", *sums), V128),
    )
    get, put, plus, tee = f.get, f.put, f.plus, f.tee

    multiply = [
        put("b0", get("b_at"), memory(LOAD)),
        put("b1", get("b_at"), memory(LOAD, 16)),
    ]
    for name, (row, vector) in sums.items():
        if vector == 0:
            place = get("a_at") + get("k_bytes") + const(row) + MUL + ADD
            multiply.append(put("a", place, memory(LOAD_SPLAT)))
        factors = get("a") + get(f"b{vector}")
        if fused:
            multiply.append(put(name, factors, get(name), F32_MADD))
        else:
            multiply.append(put(name, get(name), factors, F32_MUL, F32_ADD))
    multiply += [plus("a_at", const(4)), plus("b_at", get("n_bytes"))]

    start, store = [], []
    for name, (_, vector) in sums.items():
        place = get("bias") + get("column") + ADD
        start.append(put(name, place, memory(LOAD, 16 * vector)))
        store.append(get("c_at") + get(name) + memory(STORE, 16 * vector))
        if vector == VECTORS - 1:
            store.append(plus("c_at", get("n_bytes")))

    block = [
        put("column", get("j"), const(2), SHL),
        *start,
        put("a_at", get("A"), get("i"), get("k_bytes"), MUL, ADD),
        put("b_at", get("B"), get("column"), ADD),
        put("p", get("k")),
        loop(*multiply, until=tee("p", get("p"), const(1), SUB)),
        put("c_at", get("C"), get("i"), get("n_bytes"), MUL, ADD, get("column"), ADD),
        *store,
    ]
    next_column = tee("j", get("j"), const(4 * VECTORS), ADD) + get("n") + LESS
    next_row = tee("i", get("i"), const(ROWS), ADD) + get("m") + LESS
    f.code += put("k_bytes", get("k"), const(2), SHL)
    f.code += put("n_bytes", get("n"), const(2), SHL)
    columns = put("j", const(0)) + loop(*block, until=next_column)
    f.code += put("i", const(0)) + loop(columns, until=next_row)
    return f


def axpy():
    f = Function("axpy", {"y": I32, "x": I32, "scale": F32, "n": I32}, factor=V128)
    get, put, plus, tee = f.get, f.put, f.plus, f.tee
    term = get("x") + memory(LOAD) + get("factor") + F32_MUL
    f.code += put("factor", get("scale"), SPLAT)
    f.code += loop(
        get("y"),
        get("y") + memory(LOAD) + term + F32_ADD,
        memory(STORE),
        plus("y", const(16)),
        plus("x", const(16)),
        until=tee("n", get("n"), const(4), SUB) + const(0) + GREATER,
    )
    return f


def module(fused):
    """Return a module: it imports ``lab.memory`` and exports the functions."""
    functions = [gemm(fused), axpy()]

    def text(value):
        return number(len(value)) + value.encode()

    def section(kind, *items):
        content = number(len(items)) + b"".join(items)
        return bytes([kind]) + number(len(content)) + content

    exports = [text(f.name) + b"\x00" + number(n) for n, f in enumerate(functions)]
    return b"".join(
        (
            b"\0asm\1\0\0\0",
            section(1, *(f.signature() for f in functions)),
            section(2, text("lab") + text("memory") + b"\x02\x00\x01"),
            section(3, *map(number, range(len(functions)))),
            section(7, *exports),
            section(10, *(f.body() for f in functions)),
        )
    )


def encoded():
    """Return the modules in base64, the fastest first, for the lab's constants."""
    return [base64.b64encode(module(fused)).decode() for fused in (True, False)]
