#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/node/cli/main.js', import.meta.url);
if (existsSync(main)) await import(main);
else {
  console.error(
    'tenon: dist is missing, so this checkout is not built yet; run `npm ci` or `npm run build` in it first',
  );
  process.exitCode = 1;
}
