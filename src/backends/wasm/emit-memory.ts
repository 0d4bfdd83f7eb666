/**
 * Loads and stores of every element type: conversion between memory and register types. Addresses are on the operand
 * stack already.
 */
import type { RegType } from '../../compiler/loops.ts';
import type { DType } from '../../graph/dtype.ts';
import { bf16FromF32, bf16x4FromF32x4, f16FromF32, f16ToF32, f16x4FromF32x4, f16x4ToF32x4 } from './emit-halves.ts';
import { narrowMask } from './emit-lanes.ts';
import type { FunctionWriter } from './function-writer.ts';
import { OP, SIMD } from './opcodes.ts';

function unsupported(what: string, mem: DType, lanes: number): never {
  throw new Error(`internal: wasm emitter has no ${what} of ${mem}x${lanes}`);
}

/** Loads from the address on the stack. */
export function pushLoad(w: FunctionWriter, mem: DType, lanes: number, offset: number): void {
  if (lanes === 1) loadScalar(w, mem, offset);
  else loadVector(w, mem, lanes, offset);
}

function loadScalar(w: FunctionWriter, mem: DType, offset: number): void {
  switch (mem) {
    case 'f32':
      w.memory(OP.f32Load, 2, offset);
      return;
    case 'f64':
      w.memory(OP.f64Load, 3, offset);
      return;
    case 'i32':
      w.memory(OP.i32Load, 2, offset);
      return;
    case 'i64':
      w.memory(OP.i64Load, 3, offset);
      return;
    case 'i8':
      w.memory(OP.i32Load8S, 0, offset);
      return;
    case 'u8':
    case 'bool':
      w.memory(OP.i32Load8U, 0, offset);
      return;
    case 'bf16':
      w.memory(OP.i32Load16U, 1, offset);
      w.i32(16);
      w.op(OP.i32Shl);
      w.op(OP.f32ReinterpretI32);
      return;
    case 'f16':
      w.memory(OP.i32Load16U, 1, offset);
      f16ToF32(w);
      return;
  }
}

function loadVector(w: FunctionWriter, mem: DType, lanes: number, offset: number): void {
  switch (mem) {
    case 'f64':
    case 'i64':
      if (lanes !== 2) unsupported('load', mem, lanes);
      w.simdMemory(SIMD.load, 3, offset);
      return;
    case 'f32':
    case 'i32':
      if (lanes === 4) w.simdMemory(SIMD.load, 2, offset);
      else w.simdMemory(SIMD.load64Zero, 2, offset);
      return;
    case 'i8':
    case 'u8':
    case 'bool': {
      if (lanes === 4) w.simdMemory(SIMD.load32Zero, 0, offset);
      else w.simdMemory(SIMD.load16Splat, 0, offset);
      const signed = mem === 'i8';
      w.simd(signed ? SIMD.i16x8ExtendLowI8x16S : SIMD.i16x8ExtendLowI8x16U);
      w.simd(signed ? SIMD.i32x4ExtendLowI16x8S : SIMD.i32x4ExtendLowI16x8U);
      return;
    }
    case 'f16':
    case 'bf16':
      if (lanes === 4) w.simdMemory(SIMD.load16x4U, 1, offset);
      else {
        w.simdMemory(SIMD.load32Zero, 1, offset);
        w.simd(SIMD.i32x4ExtendLowI16x8U);
      }
      if (mem === 'f16') f16x4ToF32x4(w);
      else {
        w.i32(16);
        w.simd(SIMD.i32x4Shl);
      }
      return;
  }
}

/** Stores the value on top of the stack to the address below it. */
export function pushStore(w: FunctionWriter, mem: DType, value: RegType, offset: number): void {
  if (value.lanes === 1) storeScalar(w, mem, value, offset);
  else storeVector(w, mem, value, offset);
}

function storeScalar(w: FunctionWriter, mem: DType, value: RegType, offset: number): void {
  switch (mem) {
    case 'f32':
      w.memory(OP.f32Store, 2, offset);
      return;
    case 'f64':
      w.memory(OP.f64Store, 3, offset);
      return;
    case 'i32':
      w.memory(OP.i32Store, 2, offset);
      return;
    case 'i64':
      w.memory(OP.i64Store, 3, offset);
      return;
    case 'u8':
    case 'i8':
      w.memory(OP.i32Store8, 0, offset);
      return;
    case 'bool':
      if (value.scalar !== 'mask') {
        w.i32(0);
        w.op(OP.i32Ne);
      }
      w.memory(OP.i32Store8, 0, offset);
      return;
    case 'bf16':
      bf16FromF32(w);
      w.memory(OP.i32Store16, 1, offset);
      return;
    case 'f16':
      f16FromF32(w);
      w.memory(OP.i32Store16, 1, offset);
      return;
  }
}

function storeVector(w: FunctionWriter, mem: DType, value: RegType, offset: number): void {
  const { lanes } = value;
  switch (mem) {
    case 'f64':
    case 'i64':
      if (lanes !== 2) unsupported('store', mem, lanes);
      w.simdMemory(SIMD.store, 3, offset);
      return;
    case 'f32':
    case 'i32':
      if (lanes === 4) w.simdMemory(SIMD.store, 2, offset);
      else storeLane(w, SIMD.store64Lane, 2, offset);
      return;
    case 'bool':
      // Lane != 0 as -1 or 0, of which one bit is kept.
      if (value.scalar === 'mask') {
        if (lanes === 2) narrowMask(w);
      } else {
        w.splatBits(0);
        w.simd(SIMD.i32x4Ne);
      }
      w.splatBits(1);
      w.simd(SIMD.and);
      storeBytes(w, lanes, offset);
      return;
    case 'u8':
    case 'i8':
      w.splatBits(0xff);
      w.simd(SIMD.and);
      storeBytes(w, lanes, offset);
      return;
    case 'f16':
      f16x4FromF32x4(w);
      storeHalves(w, lanes, offset);
      return;
    case 'bf16':
      bf16x4FromF32x4(w);
      storeHalves(w, lanes, offset);
      return;
  }
}

/** Stores lane 0 of the instruction's width. */
function storeLane(w: FunctionWriter, opcode: number, align: number, offset: number): void {
  w.simdMemory(opcode, align, offset);
  w.code.byte(0);
}

/** Stores the low bytes of the 32-bit lanes, each 0 to 255, packed. */
function storeBytes(w: FunctionWriter, lanes: number, offset: number): void {
  pack(w, SIMD.i16x8NarrowI32x4U);
  pack(w, SIMD.i8x16NarrowI16x8U);
  storeLane(w, lanes === 4 ? SIMD.store32Lane : SIMD.store16Lane, 0, offset);
}

/** Stores the low halves of the 32-bit lanes, each 0 to 65535, packed. */
function storeHalves(w: FunctionWriter, lanes: number, offset: number): void {
  pack(w, SIMD.i16x8NarrowI32x4U);
  storeLane(w, lanes === 4 ? SIMD.store64Lane : SIMD.store32Lane, 1, offset);
}

/** A narrowing instruction with the vector on the stack as both halves. */
function pack(w: FunctionWriter, opcode: number): void {
  const vector = w.allocate('v128');
  w.set(vector);
  w.get(vector);
  w.get(vector);
  w.simd(opcode);
  w.release(vector);
}
