/**
 * What leaves of a graph point to: host arrays and variables. Knows nothing of tensors or backends.
 */
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

/** A first value that is one element everywhere, as the dtype stores it (half types keep bits). */
export interface Uniform {
  readonly element: number | bigint;
}

let variables = 0;

/**
 * A mutable cell: parameters, optimizer state, module buffers. Its newest value is in `host`, or in `device` when `host` is null.
 * Programs bind it by reference and write it in place; `version` counts the writes.
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
  private readonly first: (() => HostArray) | Uniform | null;
  /** The device copy and the backend it belongs to, if a program bound this variable. */
  device: { readonly backend: string; readonly buffer: DeviceBuffer } | null = null;
  /** Whether the device copy is current (always true when `host` is null). */
  deviceIsCurrent = false;
  version = 0;

  constructor(shape: readonly number[], dtype: DType, init: HostArray | (() => HostArray) | Uniform, name = '') {
    this.shape = shape;
    this.dtype = dtype;
    this.size = shape.reduce((a, n) => a * n, 1);
    const later = typeof init === 'function' || 'element' in init;
    this.host = later ? null : init;
    this.first = later ? init : null;
    this.name = name;
  }

  /** The element that the value consists of, while nothing has been made of it: a device then fills its own memory. */
  get uniform(): number | bigint | null {
    return this.host === null && this.device === null && typeof this.first === 'object' ? this.first!.element : null;
  }

  private make(): HostArray {
    const first = this.first!;
    if (typeof first === 'function') return first();
    const host = hostArray(this.dtype, this.size);
    return first.element === 0 ? host : ((host as Float32Array).fill(first.element as number) as HostArray);
  }

  /** The value on the host; downloads it when only the device has it. Do not write into the result. */
  read(): HostArray {
    if (this.host) return this.host;
    if (!this.device) return (this.host = this.make());
    const host = hostArray(this.dtype, this.size);
    this.device.buffer.download(host);
    return (this.host = host);
  }

  /** Replaces the value from the host. */
  write(value: HostArray): void {
    if (value.length !== this.size)
      throw new Error(`variable ${this.name}: ${value.length} elements written, expected ${this.size}`);
    this.host = value;
    this.deviceIsCurrent = false;
    this.version++;
  }

  /** Called after a program wrote the device copy in place. */
  deviceWritten(): void {
    this.host = null;
    this.deviceIsCurrent = true;
    this.version++;
  }

  get bytes(): number {
    return this.size * bytesOf(this.dtype);
  }
}
