/**
 * Tokenizers against what others made of the same texts: llama.cpp's expected indices for the vocabularies in GGUF
 * files, SentencePiece's own for its model (figures: python3 tests/support/sentencepiece_ids.py).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openGguf } from '../../src/formats/index.ts';
import {
  ggufTokenizer,
  gpt2Tokenizer,
  loadTokenizer,
  sentencePieceTokenizer,
  Tokenizer,
  wordPieceTokenizer,
} from '../../src/text/index.ts';
import { PRE_TOKENIZERS, preTokenizer } from '../../src/text/pretokenizers.ts';
import { sharedData, testWithData } from '../support/sharedData.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const { path: folder } = temporaryFolder();

/** Texts with the indices they should have. */
function expectedIds(vocabulary: string): { readonly text: string; readonly ids: readonly number[] }[] {
  const file = sharedData('gguf', `ggml-vocab-${vocabulary}.gguf`);
  const lines = readFileSync(`${file}.out`, 'utf8').split('\n');
  return readFileSync(`${file}.inp`, 'utf8')
    .split('\n__ggml_vocab_test__\n')
    .map((text, i) => ({ text, ids: (lines[i]!.match(/\d+/g) ?? []).map(Number) }));
}

describe('vocabularies in GGUF files', () => {
  const made = (fields: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(fields).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));

  for (const name of ['gpt-2', 'phi-3'])
    testWithData(`${name}: all texts have the expected indices, and come back`, `gguf/ggml-vocab-${name}.gguf`, () => {
      const tokenizer = loadTokenizer(sharedData('gguf', `ggml-vocab-${name}.gguf`));
      const cases = expectedIds(name);
      expect(cases).toHaveLength(47);
      for (const { text, ids } of cases) {
        expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(text);
      }
    });

  testWithData('phi-3 begins a text with its bos token', 'gguf/ggml-vocab-phi-3.gguf', () => {
    const tokenizer = loadTokenizer(sharedData('gguf', 'ggml-vocab-phi-3.gguf'));
    expect(tokenizer.encode('Hello world')).toEqual([1, 15043, 3186]);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.unkId]).toEqual([1, 32000, 0]);
    expect(tokenizer.decode([1, 15043, 3186])).toBe('Hello world');
    expect(tokenizer.decode([1, 15043, 3186], { skipSpecialTokens: false })).toContain('<s>');
    expect(tokenizer.encode('<|user|>hi<|end|>', { addSpecialTokens: false })[0]).toBe(tokenizer.idOf('<|user|>'));
  });

  it.each(PRE_TOKENIZERS)('the words of %s put together are the text', pre => {
    // GPT-2's letters for the 256 bytes: printable ones stand for themselves.
    const plain = (b: number): boolean => (b > 32 && b < 127) || (b > 160 && b !== 173);
    let next = 256;
    const tokens = Array.from({ length: 256 }, (_, b) => String.fromCodePoint(plain(b) ? b : next++));
    const tokenizer = ggufTokenizer(made({ model: 'gpt2', pre, tokens, merges: [] }));
    const text = "I'LL don't  3.14159 1234567\n\n東京 ÄÖ été हिन्दी 🦙!?  \t x_y <sentinel:3> \r\n ";
    const ids = tokenizer.encode(text);
    expect(ids).toHaveLength(new TextEncoder().encode(text).length);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('words are cut as their names say', () => {
    const words = (pre: string, text: string): string[] => {
      let rest = text;
      const found: string[] = [];
      for (const pattern of preTokenizer(pre).patterns.slice(0, 1))
        for (const [word] of rest.matchAll(new RegExp(pattern, 'gu'))) {
          found.push(word);
          rest = rest.slice(word.length);
        }
      return found;
    };
    expect(words('gpt-2', "I'll pay 1234")).toEqual(['I', "'ll", ' pay', ' 1234']);
    expect(words('llama-bpe', "I'LL pay 1234")).toEqual(['I', "'LL", ' pay', ' ', '123', '4']);
    expect(words('qwen2', 'a12\n\nb')).toEqual(['a', '1', '2', '\n\n', 'b']);
    expect(words('gpt-4o', 'camelCase HTMLParser')).toEqual(['camel', 'Case', ' HTMLParser']);
  });

  it('WordPiece vocabularies have their continuations restored', () => {
    const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '▁hello', '▁un', 'believ', 'able', '▁,'];
    const tokenizer = ggufTokenizer(made({ model: 'bert', tokens, token_type: [3, 3, 3, 3, 3, 1, 1, 1, 1, 1] }));
    expect(tokenizer.encode('Hello, unbelievable')).toEqual([2, 5, 9, 6, 7, 8, 3]);
    expect(tokenizer.encode('héllo', { addSpecialTokens: false })).toEqual([5]);
  });

  it('Unigram vocabularies take the likeliest pieces', () => {
    const tokens = ['<pad>', '</s>', '<unk>', '▁a', 'b', '▁ab', 'c'];
    const tokenizer = ggufTokenizer(
      made({
        model: 't5',
        tokens,
        scores: [0, 0, 0, -1, -1, -1.5, -2],
        token_type: [3, 3, 2, 1, 1, 1, 1],
        unknown_token_id: 2,
        eos_token_id: 1,
      }),
    );
    // ▁ab (-1.5) is likelier than ▁a b (-2).
    expect(tokenizer.encode('ab c')).toEqual([5, 2, 6, 1].filter(Boolean));
  });

  it.each([
    [{}, 'tokenizer.ggml.model is missing'],
    [{ model: 'gpt2' }, 'tokenizer.ggml.tokens is a list of 0'],
    [{ model: 'gpt2', tokens: [1] }, 'tokenizer.ggml.tokens is a list of 1, expected strings'],
    [{ model: 'rwkv', tokens: ['a'] }, 'vocabularies of kind "rwkv" are not supported'],
    [
      { model: 'gpt2', tokens: ['a'], pre: 'nobody' },
      'no pre-tokenizer is known by the name "nobody"; known are default, gpt-2',
    ],
    [{ model: 'llama', tokens: ['a', 'b'], scores: [1] }, 'tokenizer.ggml.scores is a list of 1, expected 2 numbers'],
  ])('damaged ones are refused: %j', (fields, message) => {
    const filled = 'tokens' in fields || !('model' in fields) ? fields : { ...fields, tokens: [] };
    expect(() => ggufTokenizer(made(filled))).toThrow(message);
  });
});

describe('GPT-2', () => {
  testWithData('from its vocabulary and merges', 'tokenizer/gpt2-encoder.json', () => {
    const vocabulary = JSON.parse(readFileSync(sharedData('tokenizer', 'gpt2-encoder.json'), 'utf8')) as Record<
      string,
      number
    >;
    const tokenizer = gpt2Tokenizer(vocabulary, readFileSync(sharedData('tokenizer', 'gpt2-vocab.bpe'), 'utf8'));
    expect([tokenizer.vocabSize, tokenizer.eosId]).toEqual([50257, 50256]);
    for (const { text, ids } of expectedIds('gpt-2')) {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
    expect(tokenizer.encode('a<|endoftext|>b')).toEqual([64, 50256, 65]);
    expect(loadTokenizer(sharedData('tokenizer', 'gpt2-encoder.json')).encode('Hello world')).toEqual([15496, 995]);
  });

  it('a small vocabulary, by hand', () => {
    const tokenizer = gpt2Tokenizer({ a: 0, b: 1, ab: 2, Ġ: 3, Ġab: 4 }, '#version: 0.2\na b\nĠ ab\n');
    expect(tokenizer.encode('ab aab')).toEqual([2, 3, 0, 2]);
    expect(tokenizer.encode(' ab')).toEqual([4]);
    expect(tokenizer.tokens('ab')).toEqual(['ab']);
    expect([tokenizer.idOf('ab'), tokenizer.idOf('x'), tokenizer.tokenOf(4), tokenizer.tokenOf(9)]).toEqual([
      2,
      null,
      'Ġab',
      null,
    ]);
    expect(() => tokenizer.decode([9])).toThrow('decode: token 9 is not in the vocabulary');
    expect(() => gpt2Tokenizer({ a: 0 }, 'a b c')).toThrow('merge 0 is "a b c", expected two tokens');
  });
});

describe('SentencePiece', () => {
  type Row = readonly [text: string, ids: readonly number[], back: string];
  const kinds = JSON.parse(readFileSync(new URL('../fixtures/sentencepiece.json', import.meta.url), 'utf8')) as Record<
    string,
    { readonly model?: string; readonly rows: readonly Row[] }
  >;

  /** Every text has its indices; and where the model knows all of it, they decode to what SentencePiece says. */
  function expectRows(tokenizer: Tokenizer, rows: readonly Row[]): void {
    for (const [text, ids] of rows) expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
    const known = rows.filter(([, ids]) => !ids.includes(0));
    for (const [, ids, back] of known) expect(tokenizer.decode(ids)).toBe(back);
    expect(known.length).toBeGreaterThan(5);
  }

  it.each(Object.keys(kinds).filter(Boolean))('%s', name => {
    const { model, rows } = kinds[name]!;
    expectRows(sentencePieceTokenizer(Buffer.from(model!, 'base64')), rows);
  });

  testWithData('the indices of SentencePiece itself', 'tokenizer/sentencepiece-test_model.model', () => {
    const tokenizer = loadTokenizer(sharedData('tokenizer', 'sentencepiece-test_model.model'));
    expect([tokenizer.vocabSize, tokenizer.unkId, tokenizer.bosId, tokenizer.eosId]).toEqual([1000, 0, 1, 2]);
    expectRows(tokenizer, kinds['']!.rows);
  });

  testWithData('begins and ends texts where asked', 'tokenizer/sentencepiece-test_model.model', () => {
    const bytes = readFileSync(sharedData('tokenizer', 'sentencepiece-test_model.model'));
    const tokenizer = sentencePieceTokenizer(bytes, { addBos: true, addEos: true });
    expect(tokenizer.encode('Hello world')).toEqual([1, 151, 88, 21, 887, 2]);
    // Cut anywhere, it is refused or holds fewer pieces, but nothing else happens.
    for (let cut = 0; cut < 400; cut++) {
      try {
        expect(sentencePieceTokenizer(bytes.subarray(0, cut)).vocabSize).toBeLessThan(1000);
      } catch (error) {
        expect((error as Error).message).toMatch(/sentencePieceTokenizer|Tokenizer/);
      }
    }
  });
});

describe('tokenizer.json', () => {
  const definition = {
    version: '1.0',
    added_tokens: [
      { id: 3, content: '<end>', special: true, normalized: false, single_word: false, lstrip: false, rstrip: false },
    ],
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: null,
    model: {
      type: 'WordPiece',
      vocab: { '[UNK]': 0, hello: 1, world: 2 },
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
    },
  };

  it('is read with the configuration beside it', () => {
    const at = path.join(folder, 'model');
    mkdirSync(at);
    writeFileSync(path.join(at, 'tokenizer.json'), JSON.stringify(definition));
    writeFileSync(
      path.join(at, 'tokenizer_config.json'),
      JSON.stringify({ eos_token: { content: '<end>' }, pad_token: '[UNK]' }),
    );
    const tokenizer = loadTokenizer(at);
    expect(tokenizer.encode('Hello WORLD<end>you')).toEqual([1, 2, 3, 0]);
    expect([tokenizer.eosId, tokenizer.padId, tokenizer.bosId, tokenizer.specialIds]).toEqual([3, 0, null, [3]]);
    expect(tokenizer.decode([1, 3, 2])).toBe('hello world');
  });

  it('batches are filled up and cut', () => {
    const tokenizer = wordPieceTokenizer(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', '##b']);
    const { inputIds, attentionMask, tokenTypeIds } = tokenizer.encodeBatch(['ab', ['a', 'ab a']], { maxLength: 7 });
    expect(inputIds.toArray()).toEqual([
      [2, 5, 6, 3, 0, 0, 0],
      [2, 5, 3, 5, 6, 5, 3],
    ]);
    expect(attentionMask.toArray()).toEqual([
      [1, 1, 1, 1, 0, 0, 0],
      [1, 1, 1, 1, 1, 1, 1],
    ]);
    expect(tokenTypeIds.select(0, 1).toArray()).toEqual([0, 0, 0, 1, 1, 1, 1]);
    expect(() => tokenizer.encodeBatch([])).toThrow('no texts came');
  });

  it('files that are none are refused by name', () => {
    expect(() => loadTokenizer(path.join(folder, 'nowhere'))).toThrow('nowhere: there is no such file or folder');
    expect(() => loadTokenizer(folder)).toThrow('the folder holds no tokenizer.json');
    for (const [name, content] of [
      ['tokenizer.json', '{'],
      ['vocab.json', '{}'],
      ['bad.model', 'x'],
      ['bad.gguf', 'x'],
      ['vocab.txt', 'a\nb'],
      ['what.bin', ''],
    ] as const) {
      const file = path.join(folder, name);
      writeFileSync(file, content);
      expect(() => loadTokenizer(file), name).toThrow(`${file}: not a tokenizer: `);
    }
    expect(() => new Tokenizer({})).toThrow('the definition has no model');
  });
});

describe('decoding tokens one by one', () => {
  testWithData(
    'shows characters when they are complete, and adds up to the text',
    'tokenizer/gpt2-encoder.json',
    () => {
      const tokenizer = loadTokenizer(sharedData('tokenizer', 'gpt2-encoder.json'));
      for (const text of ['🦙 says 你好\nand more, 日本\n\nend', 'plain', '']) {
        const stream = tokenizer.stream();
        const parts = tokenizer.encode(text).map(token => stream.push(token));
        expect(parts.join('') + stream.end()).toBe(text);
        expect(parts.every(part => !part.includes('\uFFFD'))).toBe(true);
      }
      const cut = tokenizer.stream();
      expect(cut.push(tokenizer.encode('🦙')[0]!)).toBe('');
      expect(cut.end()).toBe('\uFFFD');
    },
  );

  testWithData('keeps the spaces of SentencePiece', 'gguf/ggml-vocab-phi-3.gguf', () => {
    const file = openGguf(sharedData('gguf', 'ggml-vocab-phi-3.gguf'));
    const tokenizer = ggufTokenizer(file.metadata);
    file.close();
    const text = 'Once upon a time\n there were 3 llamas 🦙.';
    const stream = tokenizer.stream();
    expect(
      tokenizer
        .encode(text)
        .map(token => stream.push(token))
        .join('') + stream.end(),
    ).toBe(text);
  });
});

describe('chat templates', () => {
  const vocabulary = Object.fromEntries(['<|endoftext|>', 'a', 'b', 'ab', 'Ġ'].map((token, id) => [token, id]));
  const template =
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

  it('write a conversation as the model wants it', () => {
    const tokenizer = gpt2Tokenizer(vocabulary, 'a b', { chat_template: template });
    const messages = [
      { role: 'system', content: ' ab ' },
      { role: 'user', content: 'a' },
    ];
    expect(tokenizer.applyChatTemplate(messages)).toBe('<|endoftext|>[system]ab[user]a');
    expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toMatch(/\[assistant\]$/);
    expect(tokenizer.encodeChat([{ role: 'user', content: 'ab' }])).toEqual(
      tokenizer.encode('<|endoftext|>[user]ab', { addSpecialTokens: false }),
    );
    expect(() => tokenizer.applyChatTemplate([{ role: 'tool', content: '' }])).toThrow(
      'applyChatTemplate: the template refuses the conversation: no tools here',
    );
  });

  it('may be several, or none', () => {
    const several = [{ name: 'default', template: 'plain' }, { name: 'tool_use', template: '{{ tools | length }} tools' }]; // biome-ignore format: one line
    const tokenizer = gpt2Tokenizer(vocabulary, 'a b', { chat_template: several });
    expect(tokenizer.applyChatTemplate([])).toBe('plain');
    expect(tokenizer.applyChatTemplate([], { template: 'tool_use', tools: [{}] })).toBe('1 tools');
    expect(() => tokenizer.applyChatTemplate([], { template: 'rag' })).toThrow(
      'no chat template "rag" (it has default, tool_use)',
    );
    const none = gpt2Tokenizer(vocabulary, 'a b');
    expect(none.chatTemplate).toBeNull();
    expect(() => none.applyChatTemplate([])).toThrow('no chat template "default" (it has none)');
  });
});
