/**
 * BERT (Devlin et al. 2019), with Hugging Face's parameter names.
 */

import { Dropout, Embedding, init, LayerNorm, Linear, Module, ModuleList } from '../../nn/index.ts';
import { shapeText } from '../../tensor/convert.ts';
import { arange, F, type Parameter, type Tensor, zerosLike } from '../../tensor/index.ts';
import { checkChoice, checkNames, checkOptions } from '../../tensor/options.ts';
import { tiedHead } from './tied.ts';

export interface BertConfig {
  /** 30522 by default. */
  readonly vocabSize?: number;
  /** Features; 768 by default. */
  readonly hiddenSize?: number;
  /** 12 by default. */
  readonly numHiddenLayers?: number;
  /** 12 by default. */
  readonly numAttentionHeads?: number;
  /** Hidden features of the feed-forward part; 3072 by default. */
  readonly intermediateSize?: number;
  /** 'gelu' by default. */
  readonly hiddenAct?: 'gelu' | 'gelu_new' | 'relu' | 'silu';
  /** Dropout of embeddings and of both parts of each layer, and of the attention weights; 0.1 each by default. */
  readonly hiddenDropoutProb?: number;
  readonly attentionProbsDropoutProb?: number;
  /** Longest sequence; 512 by default. */
  readonly maxPositionEmbeddings?: number;
  /** Kinds of segments; 2 by default. */
  readonly typeVocabSize?: number;
  /** 1e-12 by default. */
  readonly layerNormEps?: number;
  /** Token that fills up short sequences; 0 by default. */
  readonly padTokenId?: number;
  /** Standard deviation of new weights; 0.02 by default. */
  readonly initializerRange?: number;
}

type FullConfig = Required<BertConfig>;

/** Names of BertInputs. */
const INPUTS = ['attentionMask', 'tokenTypeIds'] as const;

const DEFAULTS: FullConfig = {
  vocabSize: 30522,
  hiddenSize: 768,
  numHiddenLayers: 12,
  numAttentionHeads: 12,
  intermediateSize: 3072,
  hiddenAct: 'gelu',
  hiddenDropoutProb: 0.1,
  attentionProbsDropoutProb: 0.1,
  maxPositionEmbeddings: 512,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
  padTokenId: 0,
  initializerRange: 0.02,
};

const ACTIVATIONS: Readonly<Record<FullConfig['hiddenAct'], (x: Tensor) => Tensor>> = {
  gelu: x => F.gelu(x),
  gelu_new: x => F.gelu(x, { approximate: 'tanh' }),
  relu: F.relu,
  silu: F.silu,
};

/** A module whose layer norm has the key LayerNorm, as in the first release of BERT. */
abstract class WithLayerNorm<In extends readonly unknown[]> extends Module<In> {
  protected override childKey(property: string): string {
    return property === 'layerNorm' ? 'LayerNorm' : super.childKey(property);
  }
}

class BertEmbeddings extends WithLayerNorm<[inputIds: Tensor, tokenTypeIds: Tensor]> {
  readonly wordEmbeddings: Embedding;
  readonly positionEmbeddings: Embedding;
  readonly tokenTypeEmbeddings: Embedding;
  readonly layerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(config: FullConfig) {
    super();
    const { vocabSize, hiddenSize, maxPositionEmbeddings, typeVocabSize, layerNormEps: eps, padTokenId } = config;
    this.wordEmbeddings = new Embedding(vocabSize, hiddenSize, { paddingIdx: padTokenId });
    this.positionEmbeddings = new Embedding(maxPositionEmbeddings, hiddenSize);
    this.tokenTypeEmbeddings = new Embedding(typeVocabSize, hiddenSize);
    this.layerNorm = new LayerNorm(hiddenSize, { eps });
    this.dropout = new Dropout(config.hiddenDropoutProb);
  }

  forward(inputIds: Tensor, tokenTypeIds: Tensor): Tensor {
    const places = this.positionEmbeddings.weight.narrow(0, 0, inputIds.shape[1]!);
    const sum = this.wordEmbeddings.call(inputIds).add(this.tokenTypeEmbeddings.call(tokenTypeIds)).add(places);
    return this.dropout.call(this.layerNorm.call(sum));
  }
}

class BertSelfAttention extends Module<[x: Tensor, bias: Tensor | null]> {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly dropout: Dropout;
  readonly heads: number;

  constructor({ hiddenSize, numAttentionHeads, attentionProbsDropoutProb }: FullConfig) {
    super();
    if (hiddenSize % numAttentionHeads !== 0)
      throw new RangeError(`Bert: ${hiddenSize} features do not split into ${numAttentionHeads} heads`);
    this.heads = numAttentionHeads;
    this.query = new Linear(hiddenSize, hiddenSize);
    this.key = new Linear(hiddenSize, hiddenSize);
    this.value = new Linear(hiddenSize, hiddenSize);
    this.dropout = new Dropout(attentionProbsDropoutProb);
  }

  forward(x: Tensor, bias: Tensor | null): Tensor {
    const [batch, length, features] = x.shape as [number, number, number];
    const size = features / this.heads;
    const [q, k, v] = [this.query, this.key, this.value].map(layer =>
      layer.call(x).reshape([batch, length, this.heads, size]).transpose(1, 2),
    ) as [Tensor, Tensor, Tensor];
    const scores = q.mul(1 / Math.sqrt(size)).matmul(k.transpose(-2, -1));
    const weights = this.dropout.call((bias ? scores.add(bias) : scores).softmax(-1));
    return weights.matmul(v).transpose(1, 2).reshape([batch, length, features]);
  }
}

/** A linear layer whose result is added to `residual` and normalised. */
class BertOutput extends WithLayerNorm<[x: Tensor, residual: Tensor]> {
  readonly dense: Linear;
  readonly layerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(inFeatures: number, { hiddenSize, layerNormEps: eps, hiddenDropoutProb }: FullConfig) {
    super();
    this.dense = new Linear(inFeatures, hiddenSize);
    this.layerNorm = new LayerNorm(hiddenSize, { eps });
    this.dropout = new Dropout(hiddenDropoutProb);
  }

  forward(x: Tensor, residual: Tensor): Tensor {
    return this.layerNorm.call(this.dropout.call(this.dense.call(x)).add(residual));
  }
}

class BertAttention extends Module<[x: Tensor, bias: Tensor | null]> {
  readonly self: BertSelfAttention;
  readonly output: BertOutput;

  constructor(config: FullConfig) {
    super();
    this.self = new BertSelfAttention(config);
    this.output = new BertOutput(config.hiddenSize, config);
  }

  forward(x: Tensor, bias: Tensor | null): Tensor {
    return this.output.call(this.self.call(x, bias), x);
  }
}

class BertIntermediate extends Module {
  readonly dense: Linear;
  readonly activation: (x: Tensor) => Tensor;

  constructor({ hiddenSize, intermediateSize, hiddenAct }: FullConfig) {
    super();
    this.dense = new Linear(hiddenSize, intermediateSize);
    this.activation = ACTIVATIONS[hiddenAct];
  }

  forward(x: Tensor): Tensor {
    return this.activation(this.dense.call(x));
  }
}

class BertLayer extends Module<[x: Tensor, bias: Tensor | null]> {
  readonly attention: BertAttention;
  readonly intermediate: BertIntermediate;
  readonly output: BertOutput;

  constructor(config: FullConfig) {
    super();
    this.attention = new BertAttention(config);
    this.intermediate = new BertIntermediate(config);
    this.output = new BertOutput(config.intermediateSize, config);
  }

  forward(x: Tensor, bias: Tensor | null): Tensor {
    const attended = this.attention.call(x, bias);
    return this.output.call(this.intermediate.call(attended), attended);
  }
}

class BertEncoder extends Module<[x: Tensor, bias: Tensor | null]> {
  readonly layer: ModuleList<BertLayer>;

  constructor(config: FullConfig) {
    super();
    this.layer = new ModuleList(Array.from({ length: config.numHiddenLayers }, () => new BertLayer(config)));
  }

  forward(x: Tensor, bias: Tensor | null): Tensor {
    let y = x;
    for (const layer of this.layer) y = layer.call(y, bias);
    return y;
  }
}

/** The first token's state through a linear layer and tanh: [B, T, hidden] -> [B, hidden]. */
class BertPooler extends Module {
  readonly dense: Linear;

  constructor({ hiddenSize }: FullConfig) {
    super();
    this.dense = new Linear(hiddenSize, hiddenSize);
  }

  forward(x: Tensor): Tensor {
    return this.dense.call(x.select(1, 0)).tanh();
  }
}

export interface BertInputs {
  /** [B, T], 1 (or true) where a token counts and 0 where it is padding; all count by default. */
  readonly attentionMask?: Tensor;
  /** [B, T], the segment of each token; 0 by default. */
  readonly tokenTypeIds?: Tensor;
}

export interface BertOutputs {
  /** [B, T, hiddenSize] */
  readonly lastHiddenState: Tensor;
  /** [B, hiddenSize]; null where the model has no pooler. */
  readonly poolerOutput: Tensor | null;
}

/** The initial values that BERT's authors chose. */
function initialise(model: Module<never[], unknown>, std: number): void {
  for (const module of model.modules()) {
    if (module instanceof Linear) {
      init.normal_(module.weight, 0, std);
      if (module.bias) init.zeros_(module.bias);
    } else if (module instanceof Embedding) {
      const { weight, numEmbeddings, paddingIdx } = module;
      init.normal_(weight, 0, std);
      if (paddingIdx !== undefined) weight.assign(arange(numEmbeddings).ne(paddingIdx).unsqueeze(1).where(weight, 0));
    }
  }
}

/** Token indices [B, T] -> hidden states [B, T, hiddenSize] and what the pooler makes of them. */
export class BertModel extends Module<[inputIds: Tensor, inputs?: BertInputs], BertOutputs> {
  readonly embeddings: BertEmbeddings;
  readonly encoder: BertEncoder;
  readonly pooler: BertPooler | null;
  readonly config: FullConfig;

  constructor(config: BertConfig = {}, options: { readonly addPoolingLayer?: boolean } = {}) {
    const { addPoolingLayer = true } = checkOptions('BertModel', options, ['addPoolingLayer']);
    super();
    checkNames('BERT', config, Object.keys(DEFAULTS));
    this.config = { ...DEFAULTS, ...config };
    checkChoice('BERT', 'hiddenAct', this.config.hiddenAct, Object.keys(ACTIVATIONS));
    this.embeddings = new BertEmbeddings(this.config);
    this.encoder = new BertEncoder(this.config);
    this.pooler = addPoolingLayer ? new BertPooler(this.config) : null;
    initialise(this, this.config.initializerRange);
  }

  forward(inputIds: Tensor, options: BertInputs = {}): BertOutputs {
    const { attentionMask, tokenTypeIds } = checkOptions('BertModel.forward', options, INPUTS);
    const { maxPositionEmbeddings } = this.config;
    if (inputIds.ndim !== 2 || inputIds.shape[1]! > maxPositionEmbeddings)
      throw new RangeError(
        `Bert: tokens ${shapeText(inputIds.shape)} came, expected [batch, at most ${maxPositionEmbeddings}]`,
      );
    const x = this.embeddings.call(inputIds, tokenTypeIds ?? zerosLike(inputIds));
    // The lowest f32 rather than minus infinity: a row that is all padding then has a mean instead of NaN.
    const bias = attentionMask
      ? attentionMask.eq(0).to(x.dtype).mul(-3.4028234663852886e38).unsqueeze(1).unsqueeze(1)
      : null;
    const lastHiddenState = this.encoder.call(x, bias);
    return { lastHiddenState, poolerOutput: this.pooler ? this.pooler.call(lastHiddenState) : null };
  }
}

class BertPredictionHeadTransform extends WithLayerNorm<[x: Tensor]> {
  readonly dense: Linear;
  readonly layerNorm: LayerNorm;
  readonly activation: (x: Tensor) => Tensor;

  constructor({ hiddenSize, hiddenAct, layerNormEps: eps }: FullConfig) {
    super();
    this.dense = new Linear(hiddenSize, hiddenSize);
    this.layerNorm = new LayerNorm(hiddenSize, { eps });
    this.activation = ACTIVATIONS[hiddenAct];
  }

  forward(x: Tensor): Tensor {
    return this.layerNorm.call(this.activation(this.dense.call(x)));
  }
}

class BertLMPredictionHead extends Module {
  readonly bias: Parameter;
  readonly transform: BertPredictionHeadTransform;
  readonly decoder: Linear;

  constructor(config: FullConfig, embeddings: Embedding) {
    super();
    this.transform = new BertPredictionHeadTransform(config);
    this.bias = init.blank([config.vocabSize]);
    this.decoder = tiedHead(embeddings);
    Object.defineProperty(this.decoder, 'bias', { value: this.bias, enumerable: true, configurable: true });
  }

  forward(x: Tensor): Tensor {
    return this.decoder.call(this.transform.call(x));
  }
}

class BertOnlyMLMHead extends Module {
  readonly predictions: BertLMPredictionHead;

  constructor(config: FullConfig, embeddings: Embedding) {
    super();
    this.predictions = new BertLMPredictionHead(config, embeddings);
    initialise(this.predictions.transform, config.initializerRange);
  }

  forward(x: Tensor): Tensor {
    return this.predictions.call(x);
  }
}

/** BERT that fills in masked tokens: [B, T] -> logits [B, T, vocab]. */
export class BertForMaskedLM extends Module<[inputIds: Tensor, inputs?: BertInputs]> {
  readonly bert: BertModel;
  readonly cls: BertOnlyMLMHead;

  constructor(config: BertConfig = {}) {
    super();
    this.bert = new BertModel(config, { addPoolingLayer: false });
    this.cls = new BertOnlyMLMHead(this.bert.config, this.bert.embeddings.wordEmbeddings);
  }

  forward(inputIds: Tensor, inputs: BertInputs = {}): Tensor {
    checkOptions(`${this.constructor.name}.forward`, inputs, INPUTS);
    return this.cls.call(this.bert.call(inputIds, inputs).lastHiddenState);
  }
}

/** BERT that classifies sequences: [B, T] -> logits [B, numLabels]. */
export class BertForSequenceClassification extends Module<[inputIds: Tensor, inputs?: BertInputs]> {
  readonly bert: BertModel;
  readonly dropout: Dropout;
  classifier: Linear;

  constructor(config: BertConfig = {}, options: { readonly numLabels?: number } = {}) {
    const { numLabels = 2 } = checkOptions('BertForSequenceClassification', options, ['numLabels']);
    super();
    this.bert = new BertModel(config);
    const { hiddenSize, hiddenDropoutProb, initializerRange } = this.bert.config;
    this.dropout = new Dropout(hiddenDropoutProb);
    this.classifier = new Linear(hiddenSize, numLabels);
    initialise(this.classifier, initializerRange);
  }

  forward(inputIds: Tensor, inputs: BertInputs = {}): Tensor {
    checkOptions(`${this.constructor.name}.forward`, inputs, INPUTS);
    return this.classifier.call(this.dropout.call(this.bert.call(inputIds, inputs).poolerOutput!));
  }
}
