/**
 * Matrix products, nearly all of the lab's work, and the memory they work in.
 *
 * Where the browser has WebAssembly SIMD, a module of a few hundred bytes, which
 * `wasm.py` writes at build time, does the work: products in blocks of 4 rows and 8
 * columns, and sums; the first module that the browser knows is taken. Other shapes and
 * other browsers take the plain loops.
 */
import { GEMM } from "../constants.js";

/** 64 kB each; 50 layers of 64 units and a batch of 64 need some 10 MB. */
const PAGES = 320;

/** C[m, n] = A[m, k] B[k, n] + bias[n] in every row. */
export function plainGemm(C, A, B, bias, m, k, n) {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) C[i * n + j] = bias[j];
    for (let p = 0; p < k; p++) {
      const a = A[i * k + p];
      for (let j = 0; j < n; j++) C[i * n + j] += a * B[p * n + j];
    }
  }
}

/** T[n, m] = A[m, n] transposed. */
export function transpose(T, A, m, n) {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) T[j * m + i] = A[i * n + j];
  }
}

/** Arrays of one network; all are dropped at once, by {@link Arena#reset}. */
export class Arena {
  /** @param {string[]} modules in base64; none for the plain loops */
  constructor(modules = GEMM) {
    this.top = 0;
    this.memory = null;
    for (const module of modules) {
      try {
        const bytes = Uint8Array.from(atob(module), (c) => c.charCodeAt(0));
        const memory = new WebAssembly.Memory({ initial: PAGES });
        const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
          lab: { memory },
        });
        this.loops = instance.exports;
        this.memory = memory;
        return;
      } catch {
        // An old browser, or a policy that forbids it: the next way will do.
      }
    }
  }

  reset() {
    this.top = 0;
  }

  /**
   * @param {number} length
   * @returns {Float32Array} zeros
   */
  array(length) {
    if (!this.memory) return new Float32Array(length);
    const start = this.top;
    // SIMD loads are fastest from multiples of 16 bytes
    this.top += Math.ceil(length / 4) * 16;
    return new Float32Array(this.memory.buffer, start, length).fill(0);
  }

  /** C = A B + bias for arrays of this arena. */
  gemm(C, A, B, bias, m, k, n) {
    if (!this.memory || m % 4 || n % 8) plainGemm(C, A, B, bias, m, k, n);
    else this.loops.gemm(C.byteOffset, A.byteOffset, B.byteOffset, bias.byteOffset, m, k, n);
  }

  /** y += scale x for arrays of this arena. */
  axpy(y, x, scale) {
    if (this.memory) this.loops.axpy(y.byteOffset, x.byteOffset, scale, y.length);
    else for (let i = 0; i < y.length; i++) y[i] += Math.fround(scale) * x[i];
  }
}
