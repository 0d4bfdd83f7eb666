/**
 * Fourier transforms against the sum that defines them, for lengths of every kind, and their inverses.
 */
import { describe, expect, it } from 'vitest';
import { fft, grad, istft, stft, Tensor } from '../../src/index.ts';

const signal = (n: number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => Math.sin(1.3 * i) + ((i * 7) % 5));

/** Some frequencies of the transform of a real signal, by the sum. */
function sumAt(x: Float64Array, k: number): [number, number] {
  let [re, im] = [0, 0];
  x.forEach((value, j) => {
    const angle = (-2 * Math.PI * ((j * k) % x.length)) / x.length;
    re += value * Math.cos(angle);
    im += value * Math.sin(angle);
  });
  return [re, im];
}

// One matrix; two and more factors; a prime by its matrix; primes and a prime factor by way of a power of two.
describe.each([1, 2, 7, 64, 100, 1000, 4096, 127, 263, 526])('length %i', n => {
  const x = signal(n);
  const tensor = Tensor.from(x);

  it('is the sum, and its inverse gives the signal back', () => {
    const { real, imag } = fft.fft(tensor);
    const scale = n * 3;
    for (const k of [0, Math.floor(n / 3), n - 1]) {
      const [re, im] = sumAt(x, k);
      expect(Math.abs((real.data()[k] as number) - re)).toBeLessThan(1e-13 * scale);
      expect(Math.abs((imag.data()[k] as number) - im)).toBeLessThan(1e-13 * scale);
    }
    const back = fft.ifft({ real, imag });
    const half = fft.irfft(fft.rfft(tensor), n);
    x.forEach((value, i) => {
      expect(Math.abs((back.real.data()[i] as number) - value)).toBeLessThan(1e-12);
      expect(Math.abs((half.data()[i] as number) - value)).toBeLessThan(1e-12);
    });
  });
});

it('has the gradient of Parseval: the energy of the spectrum is n times that of the signal', () => {
  const x = Tensor.from(signal(96));
  const energy = (y: Tensor): Tensor => {
    const { real, imag } = fft.fft(y);
    return real.square().add(imag.square()).sum();
  };
  const slope = grad(energy)(x).data();
  x.data().forEach((value, i) => {
    expect(slope[i]).toBeCloseTo(2 * 96 * Number(value), 8);
  });
});

it('istft undoes stft', () => {
  const x = Tensor.from(signal(200));
  const window = Tensor.from(
    Float64Array.from({ length: 32 }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / 32)),
  );
  const options = { hopLength: 8, window };
  const back = istft(stft(x, 32, options), 32, { ...options, length: 200 }).data();
  x.data().forEach((value, i) => {
    expect(back[i]).toBeCloseTo(Number(value), 10);
  });
});
