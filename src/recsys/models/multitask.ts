/**
 * Several labels at once: MMoE, PLE, ESMM.
 */
import { GatedExperts, Tower } from '../../models/interactions.ts';
import { Linear, ModuleList } from '../../nn/index.ts';
import { cat, F, stack, type Tensor } from '../../tensor/index.ts';
import { checkOptions } from '../../tensor/options.ts';
import { type DeepOptions, flatInput, flatWidth } from './deep.ts';
import { type SparseInput, SparseModel, taskLoss } from './model.ts';
import { DEEP, MODEL } from './optionNames.ts';

export interface ExpertOptions extends Omit<DeepOptions, 'hidden'> {
  /** Experts that all tasks share; 4 by default. */
  readonly experts?: number;
  /** Hidden layers of an expert; [128, 64] by default. */
  readonly expert?: readonly number[];
  /** Hidden layers of each task's tower; [64] by default. */
  readonly towers?: readonly number[];
}

/** Names of ExpertOptions. */
const EXPERT = [...MODEL, 'dropout', 'experts', 'expert', 'towers'] as const;

/** A model of all labels of its schema. */
abstract class MultiTask extends SparseModel {
  override get tasks(): readonly number[] {
    return this.schema.labels.map((_, i) => i);
  }
}

/** Tower and output of one task each. */
class Heads extends ModuleList<Tower> {}

/** Multi-gate mixture of experts (Ma et al. 2018). */
export class MMoE extends MultiTask {
  readonly experts: GatedExperts;
  readonly gates: ModuleList<Linear>;
  readonly towers: Heads;
  readonly outs: ModuleList<Linear>;

  constructor(options: ExpertOptions) {
    checkOptions('MMoE', options, EXPERT);
    const { schema, dim = 10, experts = 4, expert = [128, 64], towers = [64], dropout } = options;
    super(schema, { dim, wide: false });
    const inputs = flatWidth(options, this.fields.length, dim);
    this.experts = new GatedExperts(inputs, experts, expert);
    this.gates = new ModuleList(schema.labels.map(() => new Linear(inputs, experts, { bias: false })));
    this.towers = new Heads(schema.labels.map(() => new Tower(this.experts.width, towers, { dropout })));
    this.outs = new ModuleList([...this.towers].map(tower => new Linear(tower.width, 1)));
  }

  forward(input: SparseInput): Tensor {
    const x = flatInput(input);
    const mixed = this.experts.call(
      x,
      [...this.gates].map(gate => gate.call(x)),
    );
    return cat(
      mixed.map((part, t) => this.outs.at(t)!.call(this.towers.at(t)!.call(part))),
      1,
    );
  }
}

export interface PLEOptions extends ExpertOptions {
  /** Experts of each task alone; 2 by default. */
  readonly own?: number;
  /** Extraction levels; 2 by default. */
  readonly levels?: number;
}

/**
 * One level of progressive extraction: shared experts and those of each task, mixed per task and, but for the last
 * level, for the shared path.
 */
class Extraction extends ModuleList<Tower> {}

/** Progressive layered extraction (Tang et al. 2020). */
export class PLE extends MultiTask {
  readonly experts: ModuleList<Extraction>;
  readonly gates: ModuleList<ModuleList<Linear>>;
  readonly towers: Heads;
  readonly outs: ModuleList<Linear>;
  readonly shared: number;
  readonly own: number;

  constructor(options: PLEOptions) {
    checkOptions('PLE', options, [...EXPERT, 'own', 'levels']);
    const { schema, dim = 10, experts = 2, own = 2, levels = 2, expert = [64], towers = [64], dropout } = options;
    super(schema, { dim, wide: false });
    this.shared = experts;
    this.own = own;
    const tasks = schema.labels.length;
    const inputs = flatWidth(options, this.fields.length, dim);
    const width = expert.at(-1) ?? inputs;
    const level = (l: number): number => (l === 0 ? inputs : width);
    const each = <T>(make: (l: number) => T): T[] => Array.from({ length: levels }, (_, l) => make(l));
    this.experts = new ModuleList(
      each(l => new Extraction(Array.from({ length: experts + tasks * own }, () => new Tower(level(l), expert)))),
    );
    this.gates = new ModuleList(
      each(l => {
        const perTask = schema.labels.map(() => new Linear(level(l), experts + own, { bias: false }));
        const path = l < levels - 1 ? [new Linear(level(l), experts + tasks * own, { bias: false })] : [];
        return new ModuleList([...perTask, ...path]);
      }),
    );
    this.towers = new Heads(schema.labels.map(() => new Tower(width, towers, { dropout })));
    this.outs = new ModuleList([...this.towers].map(tower => new Linear(tower.width, 1)));
  }

  forward(input: SparseInput): Tensor {
    const x = flatInput(input);
    const tasks = this.schema.labels.length;
    let paths: Tensor[] = Array.from({ length: tasks }, () => x);
    let path = x;
    const mix = (parts: readonly Tensor[], gate: Linear, by: Tensor): Tensor =>
      cat(
        parts.map(part => part.unsqueeze(1)),
        1,
      )
        .mul(gate.call(by).softmax(1).unsqueeze(2))
        .sum(1);
    [...this.experts].forEach((experts, l) => {
      const gates = this.gates.at(l)!;
      const all = [...experts];
      const common = all.slice(0, this.shared).map(expert => expert.call(path));
      const owned = paths.map((p, t) =>
        all.slice(this.shared + t * this.own, this.shared + (t + 1) * this.own).map(expert => expert.call(p)),
      );
      const next = paths.map((p, t) => mix([...common, ...owned[t]!], gates.at(t)!, p));
      const shared = gates.at(tasks);
      if (shared) path = mix([...common, ...owned.flat()], shared, path);
      paths = next;
    });
    return cat(
      paths.map((p, t) => this.outs.at(t)!.call(this.towers.at(t)!.call(p))),
      1,
    );
  }
}

/**
 * Entire space multi-task model (Ma et al. 2018): labels are click and, among all impressions, click followed by
 * conversion, whose probability is p(click) p(conversion | click). The output is the logits of these two factors; the
 * loss is computed from them, so that certainty does not overflow.
 */
export class ESMM extends SparseModel {
  readonly click: Tower;
  readonly clickOut: Linear;
  readonly conversion: Tower;
  readonly conversionOut: Linear;

  constructor(options: DeepOptions) {
    const { schema, dim = 10, hidden = [128, 64], dropout } = checkOptions('ESMM', options, DEEP);
    super(schema, { dim, wide: false });
    if (schema.labels.length !== 2)
      throw new Error(`ESMM: labels ${schema.labels.join(', ')} came, expected two: click and conversion`);
    const inputs = flatWidth(options, this.fields.length, dim);
    this.click = new Tower(inputs, hidden, { dropout });
    this.clickOut = new Linear(this.click.width, 1);
    this.conversion = new Tower(inputs, hidden, { dropout });
    this.conversionOut = new Linear(this.conversion.width, 1);
  }

  override get tasks(): readonly number[] {
    return [0, 1];
  }

  forward(input: SparseInput): Tensor {
    const x = flatInput(input);
    return cat([this.clickOut.call(this.click.call(x)), this.conversionOut.call(this.conversion.call(x))], 1);
  }

  override probabilities(output: Tensor): Tensor {
    const [click, conversion] = output.sigmoid().unbind(1) as [Tensor, Tensor];
    return stack([click, click.mul(conversion)], 1);
  }

  override loss(output: Tensor, labels: Tensor, input: SparseInput): Tensor {
    const [click, conversion] = output.unbind(1) as [Tensor, Tensor];
    const both = F.logsigmoid(click).add(F.logsigmoid(conversion));
    // 1 - s(a) s(b) = s(-a) + s(a) s(-b)
    const notBoth = F.logsigmoid(click.neg()).logaddexp(F.logsigmoid(click).add(F.logsigmoid(conversion.neg())));
    const yes = stack([F.logsigmoid(click), both], 1);
    const no = stack([F.logsigmoid(click.neg()), notBoth], 1);
    return taskLoss(labels, input.weights, target => target.mul(yes).add(target.neg().add(1).mul(no)).neg());
  }
}
