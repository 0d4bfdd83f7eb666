/**
 * What a compute thread runs, as source text: it has to work from a bundle, from dist and from a test runner alike, so
 * it cannot be a file. Plain JavaScript, evaluated in a Node worker or as a browser worker's Blob; control words are
 * described in control.ts.
 */
import { CONTROL } from './control.ts';

const COMMON = `
const C = ${JSON.stringify(CONTROL)};
const word = address => address >> 2;
const programs = new Map();
let memory, words, index;
function keep({ id, module }) {
  if (module) programs.set(id, new WebAssembly.Instance(module, { env: { memory } }).exports);
  else programs.delete(id);
}
function execute(id, args, threads, step) {
  const exports = programs.get(id);
  try {
    if (step < 0) exports.run(args, index, threads);
    else {
      exports['kernel' + step](args, index, threads);
      exports.barrier(index, threads);
    }
  } catch {
    // The others would wait for this thread for ever: it goes on meeting them, and they find out at the end.
    Atomics.add(words, word(C.crashed), 1);
    for (;;) exports.barrier(index, threads);
  }
}
function up() {
  Atomics.store(words, word(C.ready) + index, 1);
  Atomics.notify(words, word(C.ready) + index);
}
function ledOne(done) {
  Atomics.add(words, word(C.ledRuns), 1);
  Atomics.notify(words, word(C.ledRuns));
  done();
}
`;

/**
 * Node: the worker never returns to its event loop. It looks at \`runs\` for a while, then sleeps on it; modules wait
 * in a port that it empties when it meets a program it does not know.
 */
export const NODE_WORKER = `'use strict';
const { workerData, parentPort, receiveMessageOnPort } = require('node:worker_threads');
${COMMON}
({ memory, index } = workerData);
words = new Int32Array(memory.buffer, 0, 16384);
const { port } = workerData;
const RUNS = word(C.runs), ASLEEP = word(C.asleep);
let seen = 0;
up();
for (;;) {
  let looks = words[word(C.spins)];
  while (Atomics.load(words, RUNS) === seen && --looks > 0);
  if (looks <= 0) {
    Atomics.add(words, ASLEEP, 1);
    Atomics.wait(words, RUNS, seen);
    Atomics.sub(words, ASLEEP, 1);
  }
  const now = Atomics.load(words, RUNS);
  if (now === seen || now & 1) continue;
  const id = Atomics.load(words, word(C.program)), args = Atomics.load(words, word(C.args));
  const threads = Atomics.load(words, word(C.threads)), step = Atomics.load(words, word(C.step));
  const led = Atomics.load(words, word(C.led));
  if (Atomics.load(words, RUNS) !== now) continue;
  seen = now;
  if (index === 0 ? !led : index >= threads) continue;
  while (!programs.has(id)) {
    const received = receiveMessageOnPort(port);
    if (received) keep(received.message);
  }
  execute(id, args, threads, step);
  if (index === 0) ledOne(() => parentPort.postMessage(0));
}
`;

/** Browsers: every command is a message, because a worker only receives modules while its event loop runs. */
export const BROWSER_WORKER = `'use strict';
${COMMON}
onmessage = ({ data }) => {
  if (data.memory) {
    ({ memory, index } = data);
    words = new Int32Array(memory.buffer, 0, 16384);
    up();
  } else if ('module' in data) keep(data);
  else {
    execute(data.id, data.args, data.threads, data.step);
    if (index === 0) ledOne(() => postMessage(0));
  }
};
`;
