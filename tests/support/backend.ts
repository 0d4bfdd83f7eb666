/**
 * Which backend a test file computes on: TENON_BACKEND, else the reference one. Import it first.
 */
import { setBackend } from '../../src/index.ts';

setBackend(process.env['TENON_BACKEND'] ?? 'reference');
