"""Write the lab's matrix product as a WebAssembly module, byte by byte.

The function multiplies C[m, n] = A[m, k] B[k, n] in 32-bit floats, with m a
multiple of 4 and n of 8: a block of 4 rows and 8 columns stays in eight SIMD
registers while k runs. The names below are those of the WebAssembly text format.
"""

import base64

I32, V128 = 0x7F, 0x7B
ROWS, VECTORS = 4, 2  # a block: 4 rows, 2 vectors of 4 floats

LOCAL_GET, LOCAL_SET, LOCAL_TEE = 0x20, 0x21, 0x22
LOOP, BR_IF, END, EMPTY = 0x03, 0x0D, 0x0B, 0x40
ADD, SUB, MUL, SHL, LT_U = b"\x6a", b"\x6b", b"\x6c", b"\x74", b"\x49"
LOAD, SPLAT, STORE, ZERO = b"\xfd\x00", b"\xfd\x09", b"\xfd\x0b", b"\xfd\x0c"
F32_ADD, F32_MUL = b"\xfd\xe4\x01", b"\xfd\xe6\x01"

PARAMETERS = ("C", "A", "B", "m", "k", "n")
COUNTERS = ("i", "j", "p", "k_bytes", "n_bytes", "a_at", "b_at", "c_at")
SUMS = tuple(f"sum{row}{vector}" for row in range(ROWS) for vector in range(VECTORS))
VECTOR_LOCALS = ("b0", "b1", "a", *SUMS)
NAMES = (*PARAMETERS, *COUNTERS, *VECTOR_LOCALS)


def number(value):
    """Return an unsigned integer in LEB128, the format's own encoding."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + number(rest) if rest else bytes([low])


def get(name):
    return bytes([LOCAL_GET]) + number(NAMES.index(name))


def put(name, *value):
    return b"".join(value) + bytes([LOCAL_SET]) + number(NAMES.index(name))


def const(value):
    """Return an i32.const; it is signed, so one byte holds less than 64."""
    assert 0 <= value < 64
    return b"\x41" + bytes([value])


def plus(name, *value):
    return put(name, get(name), *value, ADD)


def memory(instruction, offset=0):
    """Return a load or store of a vector, aligned to 4 bytes."""
    return instruction + number(2) + number(offset)


def loop(*body, until):
    """Repeat the body while ``until`` leaves a number that is not 0."""
    return bytes([LOOP, EMPTY]) + b"".join(body) + until + bytes([BR_IF, 0, END])


def tee(name, *value):
    return b"".join(value) + bytes([LOCAL_TEE]) + number(NAMES.index(name))


def product():
    """Return the body of the function."""
    multiply = [
        put("b0", get("b_at"), memory(LOAD)),
        put("b1", get("b_at"), memory(LOAD, 16)),
    ]
    for row in range(ROWS):
        place = get("a_at") + get("k_bytes") + const(row) + MUL + ADD
        multiply.append(put("a", place, memory(SPLAT)))
        for vector in range(VECTORS):
            name = f"sum{row}{vector}"
            term = get("a") + get(f"b{vector}") + F32_MUL
            multiply.append(put(name, get(name), term, F32_ADD))
    multiply += [plus("a_at", const(4)), plus("b_at", get("n_bytes"))]

    store = []
    for row in range(ROWS):
        for vector in range(VECTORS):
            value = get("c_at") + get(f"sum{row}{vector}")
            store.append(value + memory(STORE, 16 * vector))
        store.append(plus("c_at", get("n_bytes")))

    column = get("j") + const(2) + SHL
    block = [
        *(put(name, ZERO + bytes(16)) for name in SUMS),
        put("a_at", get("A"), get("i"), get("k_bytes"), MUL, ADD),
        put("b_at", get("B"), column, ADD),
        put("p", get("k")),
        loop(*multiply, until=tee("p", get("p"), const(1), SUB)),
        put("c_at", get("C"), get("i"), get("n_bytes"), MUL, ADD, column, ADD),
        *store,
    ]
    next_column = tee("j", get("j"), const(4 * VECTORS), ADD) + get("n") + LT_U
    next_row = tee("i", get("i"), const(ROWS), ADD) + get("m") + LT_U
    return b"".join(
        (
            put("k_bytes", get("k"), const(2), SHL),
            put("n_bytes", get("n"), const(2), SHL),
            put("i", const(0)),
            loop(put("j", const(0)), loop(*block, until=next_column), until=next_row),
        )
    )


def module():
    """Return the module: it imports ``lab.memory`` and exports ``gemm``."""

    def text(value):
        return number(len(value)) + value.encode()

    def section(kind, *items):
        content = number(len(items)) + b"".join(items)
        return bytes([kind]) + number(len(content)) + content

    kinds = number(2)
    kinds += number(len(COUNTERS)) + bytes([I32])
    kinds += number(len(VECTOR_LOCALS)) + bytes([V128])
    code = kinds + product() + bytes([END])
    signature = b"\x60" + number(len(PARAMETERS)) + bytes([I32] * len(PARAMETERS))
    return b"".join(
        (
            b"\0asm\1\0\0\0",
            section(1, signature + number(0)),
            section(2, text("lab") + text("memory") + b"\x02\x00\x01"),
            section(3, number(0)),
            section(7, text("gemm") + b"\x00\x00"),
            section(10, number(len(code)) + code),
        )
    )


def encoded():
    """Return the module in base64, as the lab's constants hold it."""
    return base64.b64encode(module()).decode()
