"""Makes tests/fixtures/sentencepiece.json: texts, and what SentencePiece (the original, Debian's python3-sentencepiece) makes of them with the
model in ../shared/data/tokenizer. No text holds control pieces such as <s>, which SentencePiece takes for plain text and Hugging Face does not.

    python3 tests/support/sentencepiece_ids.py
"""
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

if __name__ == "__main__":
    processor = sentencepiece.SentencePieceProcessor(model_file=MODEL)
    rows = [[text, processor.encode(text), processor.decode(processor.encode(text))] for text in TEXTS]
    with open(os.path.join(HERE, "..", "fixtures", "sentencepiece.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
