/**
 * SentencePiece's precompiled character maps: a table of replacements for sequences of UTF-8 bytes, of which the
 * longest that fits is taken at each position. A map is the size of a double-array trie
 * (https://github.com/s-yata/darts-clone), the trie, and the replacements. The library's own Precompiled normalizer
 * applies the map of one common model instead of the one given.
 */

/** Follows the bytes of `text` from `at` through the trie: the longest entry's value and length, or null. */
function longest(
  trie: Uint32Array,
  text: Uint8Array,
  at: number,
): { readonly value: number; readonly end: number } | null {
  let found: { readonly value: number; readonly end: number } | null = null;
  const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let node = offsetOf(trie[0] ?? 0);
  for (let i = at; i < text.length; i++) {
    node ^= text[i]!;
    const unit = trie[node];
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== text[i]) break;
    node ^= offsetOf(unit);
    if ((unit >>> 8) & 1) found = { value: (trie[node] ?? 0) & 0x7fffffff, end: i + 1 };
  }
  return found;
}

/** The function that a map stands for. @throws Error for maps whose sizes do not fit */
export function charsmapNormalizer(map: Uint8Array): (text: string) => string {
  if (map.length === 0) return text => text;
  const view = new DataView(map.buffer, map.byteOffset, map.byteLength);
  const size = map.length >= 4 ? view.getUint32(0, true) : 0;
  if (size === 0 || size % 4 !== 0 || 4 + size > map.length)
    throw new Error(`the character map says that its trie has ${size} bytes, and ${map.length} bytes came in all`);
  const trie = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const replacements = map.subarray(4 + size);
  const decoder = new TextDecoder();
  const replacement = (start: number): string => {
    const end = replacements.indexOf(0, start);
    return decoder.decode(replacements.subarray(start, end < 0 ? replacements.length : end));
  };
  return text => {
    const bytes = new TextEncoder().encode(text);
    let result = '';
    let plain = 0;
    for (let at = 0; at < bytes.length; ) {
      const match = longest(trie, bytes, at);
      if (match) {
        result += decoder.decode(bytes.subarray(plain, at)) + replacement(match.value);
        at = plain = match.end;
        continue;
      }
      // One character on: past this byte and its continuations.
      do at++;
      while (at < bytes.length && (bytes[at]! & 0xc0) === 0x80);
    }
    return result + decoder.decode(bytes.subarray(plain));
  };
}
