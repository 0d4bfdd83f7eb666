/**
 * node build/examples/browser/serve.js [port]: serves the browser example on this machine only (run `npm run build`
 * before).
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ISOLATION, serveFile } from './files.ts';

const server = createServer((request, response) => serveFile(request, response, ISOLATION));
server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => {
  console.log(`open http://127.0.0.1:${(server.address() as AddressInfo).port}/ (Ctrl-C ends)`);
});
