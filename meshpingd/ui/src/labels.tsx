// SPDX-License-Identifier: Apache-2.0
// Labels: how they look, and as text to be typed. The server checks them; this only takes the text apart.
import type { Labels } from './types.ts';

export const labelTexts = (labels: Labels): string[] => Object.keys(labels).sort().map((key) => `${key}=${labels[key]}`);
export const formatLabels = (labels: Labels): string => labelTexts(labels).join(', ');

/** "key=value, key=value". An Error says which part is none. */
export function parseLabels(text: string): Labels {
  const labels: Labels = {};
  for (const part of text.split(/[,\n]/).map((one) => one.trim()).filter(Boolean)) {
    const [, key, value] = /^([^=\s]+)\s*=\s*(\S*)$/.exec(part) ?? [];
    if (key === undefined) throw new Error(`“${part}” is no label. Write key=value, with commas between.`);
    if (Object.hasOwn(labels, key)) throw new Error(`The label “${key}” stands there twice.`);
    labels[key] = value!;
  }
  return labels;
}

export function LabelTags({ labels }: { labels: Labels }) {
  const texts = labelTexts(labels);
  if (!texts.length) return null;
  return <ul class="labels" aria-label="Labels">{texts.map((text) => <li key={text} class="tag label">{text}</li>)}</ul>;
}
