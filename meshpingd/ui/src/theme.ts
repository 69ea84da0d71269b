// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system says, unless this browser's user chose.
import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'meshping.theme';

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system'; // storage may be forbidden
  }
}

export const choice = signal<Theme>(stored());
const systemDark = signal(matchMedia('(prefers-color-scheme: dark)').matches);
/** What is shown; canvases follow it. */
export const theme = signal<'light' | 'dark'>('light');

export function startTheme(): void {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => (systemDark.value = event.matches));
  effect(() => {
    const look = choice.value === 'system' ? (systemDark.value ? 'dark' : 'light') : choice.value;
    document.documentElement.dataset['theme'] = look;
    theme.value = look;
  });
}

export function nextTheme(): void {
  choice.value = choice.value === 'system' ? 'dark' : choice.value === 'dark' ? 'light' : 'system';
  try {
    if (choice.value === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice.value);
  } catch {
    // shown for this visit only
  }
}
