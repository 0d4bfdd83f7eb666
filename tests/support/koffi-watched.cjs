// Preloaded (node --require) to tell on stderr, as JSON, with which protections memory was asked for (mmap) and given afterwards (mprotect).
const Module = require('node:module');

const calls = [];
const load = Module._load;
Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest);
  if (!/(^|\/)koffi(\.node)?$/.test(request)) return loaded;
  return {
    ...loaded,
    load(path) {
      const library = loaded.load(path);
      return {
        func(signature) {
          const call = library.func(signature);
          const name = /\b(mmap|mprotect)\(/.exec(signature)?.[1];
          if (!name) return call;
          return (...args) => {
            const result = call(...args);
            calls.push({ name, address: name === 'mmap' ? result : args[0], protection: args[2] });
            return result;
          };
        },
      };
    },
  };
};
process.on('exit', () => console.error(JSON.stringify(calls)));
