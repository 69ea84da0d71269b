// SPDX-License-Identifier: Apache-2.0
// Data that is asked for again every so often while a page shows it.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { ended, message } from './api.ts';

const RETRY_MS = 3000;

export interface Polled<T> {
  data: T | undefined;
  error: string;
  reload: () => void;
  put: (data: T) => void;
}

/** `everyMs` 0: until it is there. Asks at once again when one of `on` changes, or somebody has signed in again. */
export function usePolled<T>(load: () => Promise<T>, everyMs: number, on: unknown[] = []): Polled<T> {
  const [data, setData] = useState<T>();
  const [error, setError] = useState('');
  const turn = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const run = useCallback(() => {
    const mine = ++turn.current;
    clearTimeout(timer.current);
    if (ended.value) return;
    let wait = everyMs;
    load()
      .then((loaded) => {
        if (mine !== turn.current) return;
        setData(loaded);
        setError('');
      })
      .catch((cause) => {
        wait ||= RETRY_MS;
        if (mine === turn.current && !ended.value) setError(message(cause));
      })
      .finally(() => {
        if (mine === turn.current && wait) timer.current = setTimeout(run, wait);
      });
  }, []);
  useEffect(() => {
    run();
    return () => {
      turn.current++;
      clearTimeout(timer.current);
    };
  }, [...on, ended.value]);
  const put = (known: T) => {
    turn.current++; // an answer that is on its way is older
    clearTimeout(timer.current);
    setData(known);
    if (everyMs) timer.current = setTimeout(run, everyMs);
  };
  return { data, error, reload: run, put };
}
