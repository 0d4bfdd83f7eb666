// Preloaded (node --require) to take something away from koffi: TENON_TEST_WITHOUT is `koffi`, `library` (its file is broken), `memory` (the system refuses memory), `pages` (it
// refuses executable memory), `later` (it refuses executable memory once `globalThis.pagesLeft` calls are over), `threads` (it refuses threads) or `cpu` (a processor that knows nothing).
const Module = require('node:module');

const without = process.env.TENON_TEST_WITHOUT;
/** What functions of the system return that did not do it. */
const REFUSED = process.platform === 'win32' ? 0 : -1;
const load = Module._load;
Module._load = function (request, ...rest) {
  if (!/^(koffi|@koromix\/koffi-.*)$/.test(request)) return load.call(this, request, ...rest);
  if (without === 'koffi') throw new Error("Cannot find module 'koffi'");
  // What the loader says of a file that is none of its kind; this one is not.
  if (without === 'library') process.dlopen({ exports: {} }, __filename);
  const koffi = load.call(this, request, ...rest);
  return {
    ...koffi,
    load(path) {
      const library = koffi.load(path);
      return {
        func(signature) {
          const is = (...names) => names.some(name => signature.includes(`${name}(`));
          if (without === 'memory' && is('mmap', 'VirtualAlloc')) return () => REFUSED;
          if (without === 'pages' && is('mprotect', 'VirtualProtect')) return () => REFUSED;
          if (without === 'later' && is('mprotect', 'VirtualProtect')) {
            const protect = library.func(signature);
            // After so many more calls, of which a first run makes several.
            return (...args) =>
              globalThis.pagesLeft !== undefined && globalThis.pagesLeft-- <= 0 ? REFUSED : protect(...args);
          }
          // EAGAIN
          if (without === 'threads' && is('pthread_create')) return () => 11;
          if (without === 'threads' && is('CreateThread')) return () => REFUSED;
          return library.func(signature);
        },
      };
    },
    // The call that asks the processor writes nothing: no leaf, no feature.
    decode(address, type) {
      return without === 'cpu' && type.proto.arguments.length === 4 ? () => 0 : koffi.decode(address, type);
    },
  };
};
