/**
 * The version of this package, read from its own package.json.
 */
import { createRequire } from 'node:module';

export const VERSION = (createRequire(import.meta.url)('tenon/package.json') as { version: string }).version;
