// SPDX-License-Identifier: Apache-2.0
// What is typed and not saved: it stays while one looks at other pages, and goes with the one who typed it.
import { useState } from 'preact/hooks';

/** With the revision of what was there when the typing began: who saves must not overwrite unseen what came since. */
export interface Draft<T> {
  value: T;
  revision: number;
}

const drafts = new Map<string, Draft<unknown>>();

export const dropDrafts = (): void => drafts.clear();

/** Leaving the whole page is asked about while there is a draft. */
export function guardDrafts(): void {
  addEventListener('beforeunload', (event) => {
    if (drafts.size) event.preventDefault();
  });
}

export function useDraft<T>(page: string): [Draft<T> | undefined, (draft: Draft<T> | undefined) => void] {
  const [draft, setState] = useState(drafts.get(page) as Draft<T> | undefined);
  const setDraft = (next: Draft<T> | undefined) => {
    if (next) drafts.set(page, next);
    else drafts.delete(page);
    setState(next);
  };
  return [draft, setDraft];
}
