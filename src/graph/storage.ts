/**
 * What leaves of a graph point to: host arrays and variables. Knows nothing of tensors or backends.
 */
import { changes } from './changes.ts';
import { bytesOf, type DType, type HostArray, hostArray } from './dtype.ts';

/** Memory that a backend keeps for one variable; opaque above the backend. */
export interface DeviceBuffer {
  readonly bytes: number;
  /** Copies the device's bytes out. */
  download(into: HostArray): void;
  /** Copies host bytes in. */
  upload(from: HostArray): void;
  /** Gives the memory back. */
  free(): void;
}

/** Makes a value: in `memory`, which holds zeros, or in an array of its own. */
export type FirstValue = (memory: HostArray) => HostArray;

/**
 * The array itself, all of whose elements must be there: `postMessage` and `structuredClone` take an array's memory
 * with them where its buffer is transferred.
 * @throws Error where they have
 */
export function whole(value: HostArray, elements: number): HostArray {
  if (value.length === elements) return value;
  if (value.length === 0)
    throw new Error(
      `a tensor of ${elements} elements has lost its memory: the buffer that data() shows was transferred; transfer a copy, data().slice()`,
    );
  throw new Error(`internal: a value of ${elements} elements has ${value.length}`);
}

let variables = 0;
let writes = 0;

/** A program has written in place what the device has of the variables that stand at these places of its `bindings`. */
export function deviceWrote(bindings: readonly (HostArray | Variable)[], places: readonly number[]): void {
  for (let i = 0; i < places.length; i++) {
    const variable = bindings[places[i]!] as Variable;
    variable.version++;
    if (variable.host !== null) variable.leaveToDevice();
  }
  writes += places.length;
}

/** Counts writes of all variables: while it stays, so do their values. */
export const variableWrites = (): number => writes;

/**
 * A mutable cell: parameters, optimizer state, module buffers. Its newest value is in `host`, or in `device` when
 * `host` is null. Programs bind it by reference and write it in place; `version` counts the writes.
 */
export class Variable {
  readonly id = ++variables;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly size: number;
  name: string;
  /** Newest value on the host, or null while only the device has it, or nothing has needed the first value yet. */
  host: HostArray | null;
  /** Makes the first value when something needs it; a value written before that has cost nothing. */
  private readonly first: FirstValue | null;
  /** The device copy and the backend it belongs to, if a program bound this variable. */
  device: { readonly backend: string; readonly buffer: DeviceBuffer } | null = null;
  /** Whether the device copy is current (always true when `host` is null). */
  deviceIsCurrent = false;
  version = 0;

  constructor(shape: readonly number[], dtype: DType, init: HostArray | FirstValue, name = '') {
    this.shape = shape;
    this.dtype = dtype;
    this.size = shape.reduce((a, n) => a * n, 1);
    this.host = typeof init === 'function' ? null : init;
    this.first = typeof init === 'function' ? init : null;
    this.name = name;
  }

  /** The value on the host; downloads it when only the device has it. Do not write into the result. */
  read(): HostArray {
    // The host's copy may have been transferred while the device has the value as well.
    if (this.host && !(this.deviceIsCurrent && this.host.length !== this.size)) return whole(this.host, this.size);
    if (!this.device) return (this.host = this.first!(hostArray(this.dtype, this.size)));
    const host = hostArray(this.dtype, this.size);
    this.device.buffer.download(host);
    return (this.host = host);
  }

  /**
   * Writes the value into a device's memory that the host can reach. A first value is made there, and takes no memory
   * of the host.
   */
  readInto(memory: HostArray): void {
    const value = this.host || this.device ? this.read() : this.first!(memory);
    if (value !== memory) (memory as Float32Array).set(value as Float32Array);
  }

  /** A backend has the newest value in memory of its own. What an earlier one had is not given back here. */
  moveTo(device: NonNullable<Variable['device']>): void {
    this.device = device;
    this.deviceIsCurrent = true;
    changes.moves++;
  }

  /** The device has the value: the host's copy is given up, and comes back when it is read. */
  leaveToDevice(): void {
    this.host = null;
    this.deviceIsCurrent = true;
  }

  /** Replaces the value from the host. */
  write(value: HostArray): void {
    if (value.length !== this.size)
      throw new Error(`variable ${this.name}: ${value.length} elements written, expected ${this.size}`);
    this.host = value;
    this.deviceIsCurrent = false;
    this.version++;
    writes++;
    changes.moves++;
  }

  get bytes(): number {
    return this.size * bytesOf(this.dtype);
  }
}
