"""Makes tests/fixtures/sentencepiece.json: texts, and what SentencePiece (the original, Debian's python3-sentencepiece) makes of them with the
model in ../shared/data/tokenizer. No text holds control pieces such as <s>, which SentencePiece takes for plain text and Hugging Face does not.

    python3 tests/support/sentencepiece_ids.py
"""
import base64
import io
import json
import os
import sentencepiece

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "..", "..", "..", "shared", "data", "tokenizer", "sentencepiece-test_model.model")
TEXTS = [
    "", " ", "Hello world", "Hello  world ", "  I saw a girl with a telescope.", "3.14 is not e", "ﬁ ＡＢＣ ① ㌔ café naïve", "don't stop: it's over",
    "東京タワー is high", "line one\nline two\tend", "The quick brown fox jumps over the lazy dog.", "unbelievably", "…—“quoted”", "🦙🦙 llama",
    "a▁b", "日本語", "    lots     of    space    ", "e\u0301 composed", "UPPER lower MiXeD",
]

# Small models of other kinds, trained on this project's own guides: kept with the figures, as base64.
TRAINED = {
    "bpe": dict(model_type="bpe", vocab_size=420, byte_fallback=True, user_defined_symbols=["<user>"], normalization_rule_name="identity"),
    "bpe, spaces kept": dict(model_type="bpe", vocab_size=300, normalization_rule_name="identity", remove_extra_whitespaces=False),
    "unigram with bytes": dict(model_type="unigram", vocab_size=420, byte_fallback=True, normalization_rule_name="identity"),
    "unigram without a space in front": dict(model_type="unigram", vocab_size=200, add_dummy_prefix=False, normalization_rule_name="identity"),
    "char": dict(model_type="char", vocab_size=90, normalization_rule_name="identity"),
}


def rows_of(processor, texts):
    return [[text, processor.encode(text), processor.decode(processor.encode(text))] for text in texts]


def train(options):
    guides = os.path.join(HERE, "..", "..", "docs", "guides")
    lines = [line for name in sorted(os.listdir(guides)) for line in open(os.path.join(guides, name), encoding="utf8") if line.strip()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, minloglevel=2, **options)
    return model.getvalue()


if __name__ == "__main__":
    shared = rows_of(sentencepiece.SentencePieceProcessor(model_file=MODEL), TEXTS)
    lines = [f'"": {{"rows": {json.dumps(shared)}}}']
    for name, options in TRAINED.items():
        model = train(options)
        rows = rows_of(sentencepiece.SentencePieceProcessor(model_proto=model), TEXTS + ["<user>hi <user> there"])
        lines.append(f'{json.dumps(name)}: {{"model": "{base64.b64encode(model).decode()}", "rows": {json.dumps(rows)}}}')
    with open(os.path.join(HERE, "..", "fixtures", "sentencepiece.json"), "w") as f:
        f.write("{\n" + ",\n".join(lines) + "\n}\n")
