/**
 * Chat templates: how a model wants a conversation written. The templates that models are published with are Jinja,
 * which the library @huggingface/jinja runs (it evaluates templates only, no code).
 */
import { Template } from '@huggingface/jinja';

export interface ChatMessage {
  /** system, user, assistant, tool, ... */
  readonly role: string;
  readonly content: unknown;
  readonly [field: string]: unknown;
}

export interface ChatOptions {
  /** Whether the beginning of the assistant's answer is added; false by default. */
  readonly addGenerationPrompt?: boolean;
  /** Which of several templates; 'default' where there are several. */
  readonly template?: string;
  /** Descriptions of tools that the model may call. */
  readonly tools?: readonly unknown[];
  /** What else the template asks for. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The templates of a tokenizer_config.json's chat_template: one, or a list of `{name, template}`. */
export function chatTemplatesOf(value: unknown): ReadonlyMap<string, string> {
  if (typeof value === 'string') return new Map([['default', value]]);
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return new Map(
    list.flatMap(entry => {
      const { name, template } = entry as { readonly name?: unknown; readonly template?: unknown };
      return typeof name === 'string' && typeof template === 'string' ? [[name, template] as const] : [];
    }),
  );
}

/** @throws Error where the template refuses the conversation, in its own words */
export function renderChat(
  template: string,
  messages: readonly ChatMessage[],
  { addGenerationPrompt = false, tools, variables = {} }: ChatOptions,
  special: Readonly<Record<string, string>>,
): string {
  try {
    return new Template(template).render({
      messages,
      add_generation_prompt: addGenerationPrompt,
      ...(tools ? { tools } : {}),
      ...special,
      ...variables,
    });
  } catch (error) {
    throw new Error(`applyChatTemplate: the template refuses the conversation: ${(error as Error).message}`);
  }
}
