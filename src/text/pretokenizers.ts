/**
 * How byte-level BPE models cut a text into words, by the names that GGUF files give (tokenizer.ggml.pre): regular
 * expressions, applied one after another, as in llama.cpp.
 */

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`;
const CONTRACTIONS = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`;
const SPACES = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const SYMBOLS = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`;
const LLAMA3 = String.raw`${CONTRACTIONS}|${WORD}|\p{N}{1,3}|${SYMBOLS}|${SPACES}`;
const QWEN2 = String.raw`${CONTRACTIONS}|${WORD}|\p{N}|${SYMBOLS}|${SPACES}`;
const QWEN35 = String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|${SPACES}`;
const CASCADE = [512, 256, 128, 64, 32, 16, 8, 4].map(n => String.raw`\s{${n}}(?!\S)`).join('|');
const JAIS2 = String.raw`${CONTRACTIONS}|${WORD}|\p{N}{1,3}|${SYMBOLS}|\s*[\r\n]+|${CASCADE}|\s{1,2}(?!\S)|\s{1}`;
/** Words whose letters change from upper to lower case at most once. */
const CASED = (end: string): string => {
  const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
  const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
  return String.raw`[^\r\n\p{L}\p{N}]?${upper}*${lower}+${end}|[^\r\n\p{L}\p{N}]?${upper}+${lower}*${end}`;
};
const SYMBOLS_SLASH = String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`;
const TEKKEN = String.raw`${CASED('')}|\p{N}|${SYMBOLS_SLASH}|${SPACES}`;
const GPT4O = String.raw`${CASED(`${CONTRACTIONS}?`)}|\p{N}{1,3}|${SYMBOLS_SLASH}|${SPACES}`;
const DEEPSEEK3 = String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_\u0060{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${SPACES}`;
const BLOOM = String.raw` ?[^(\s|.,!?…。，、।۔،)]+`;
const BAILING = String.raw`'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|${WORD}|\p{N}|${SYMBOLS}|\s*[\r\n]|\s+(?!\S)|\s+`;
const SEED = String.raw`${CONTRACTIONS}|${WORD}|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|${SPACES}`;

/** Chinese, and Japanese syllables. */
const CJK = String.raw`[一-龥\u3040-ゟ゠-ヿ]+`;
/** The wide range of DeepSeek's first models. */
const CJK_WIDE = String.raw`[一-龥\u0800-一가-\ud7ff]+`;
/** Letters of scripts that have upper and lower case. */
const CASED_LETTERS = String.raw`\s?[\p{Lu}\p{Ll}\p{Lt}]+`;

const FAMILIES: readonly (readonly [names: string, patterns: readonly string[]])[] = [
  ['default', [String.raw`[\p{P}\$\+<=>\^~\|]+`, GPT2, String.raw`\p{N}+`, '[0-9][0-9][0-9]']],
  [
    'gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jina-v1-en jina-v2-code roberta-bpe mpt olmo jais exaone4 trillion granite-docling',
    [GPT2],
  ],
  [
    'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe glm4 chatglm-bpe',
    [LLAMA3],
  ],
  ['qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2', [QWEN2]],
  ['qwen35', [QWEN35]],
  ['ufakzeka', [String.raw`${WORD}|\p{N}|${SYMBOLS}|${SPACES}`]],
  ['jais-2', [JAIS2]],
  ['starcoder refact command-r smollm codeshell exaone minerva-7b mellum2', [String.raw`\p{N}`, GPT2]],
  ['falcon', [String.raw`[\p{P}\$\+<=>\^~\|\u0060]+`, GPT2, '[0-9][0-9][0-9]']],
  [
    'deepseek-llm',
    [
      String.raw`[\r\n]`,
      CASED_LETTERS,
      String.raw`\s?[!-/:-~！-／：-～‘-‟　-。]+`,
      String.raw`\s+$`,
      CJK_WIDE,
      String.raw`\p{N}+`,
    ],
  ],
  ['deepseek-coder', [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, CJK_WIDE, String.raw`\p{N}`]],
  ['deepseek-v3 hunyuan-dense joyai-llm hy_v4', [String.raw`\p{N}{1,3}`, CJK, DEEPSEEK3]],
  ['bloom poro-chat gpt3-finnish', [BLOOM]],
  ['viking', [BLOOM, String.raw`\p{N}`]],
  ['tekken', [TEKKEN]],
  ['gpt-4o llama4 kanana2 talkie minimax-m2', [GPT4O]],
  ['tiny_aya cohere2moe', [String.raw`\d{1,3}(?=(?:\d{3})*\b)`, GPT4O]],
  ['bailingmoe bailingmoe2 llada-moe', [BAILING]],
  ['seed-coder', [SEED]],
  ['superbpe', [String.raw`\p{N}+`, String.raw`(?=(\d{3})+(?!\d))`]],
  [
    'chameleon',
    [
      '<sentinel:[0-9]+>',
      '(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z',
      String.raw`([\t\n]|    |  )`,
      String.raw`\p{N}`,
      String.raw`[\p{P}!-/:-@\[-\u0060{-~]`,
      GPT2,
    ],
  ],
];

const BY_NAME: ReadonlyMap<string, readonly string[]> = new Map(
  FAMILIES.flatMap(([names, patterns]) => names.split(' ').map(name => [name, patterns] as const)),
);

/** Models whose whole words are tokens even where no merges lead to them. */
const IGNORING_MERGES: ReadonlySet<string> = new Set(
  'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano tekken'.split(' '),
);

/** How the model of a name cuts texts. @throws Error for names that are not known, with those that are */
export function preTokenizer(name: string): { readonly patterns: readonly string[]; readonly ignoreMerges: boolean } {
  const patterns = BY_NAME.get(name);
  if (!patterns)
    throw new Error(`no pre-tokenizer is known by the name "${name}"; known are ${PRE_TOKENIZERS.join(', ')}`);
  return { patterns, ignoreMerges: IGNORING_MERGES.has(name) };
}

/** The names that are known. */
export const PRE_TOKENIZERS: readonly string[] = [...BY_NAME.keys()];

/** GPT-2's own. */
export const GPT2_PATTERNS: readonly string[] = [GPT2];
