/**
 * What is counted so that it need not be asked again: while a number stays, so does all that was found out since it was
 * read. A small step costs what it asks (decision 285). Imports nothing.
 */
export const changes = {
  /**
   * Moves when what a call means may have changed: modules' modes, freezing, settings of optimizers, autocast, whether
   * gradients are recorded, whether something is traced, transformed or profiled, and assignments that wait.
   */
  modes: 0,
  /** Moves when a variable's newest value, or memory that programs share, has come to lie elsewhere. */
  moves: 0,
};
