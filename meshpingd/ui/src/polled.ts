// SPDX-License-Identifier: Apache-2.0
// Data that is asked for again every so often while a page shows it.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { message } from './api.ts';

export interface Polled<T> {
  data: T | undefined;
  error: string;
  reload: () => void;
  put: (data: T) => void;
}

/** `every_ms` 0: once. Asks at once again when one of `on` changes. */
export function usePolled<T>(load: () => Promise<T>, everyMs: number, on: unknown[] = []): Polled<T> {
  const [data, setData] = useState<T>();
  const [error, setError] = useState('');
  const turn = useRef(0);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const run = useCallback(() => {
    const mine = ++turn.current;
    clearTimeout(timer.current);
    load()
      .then((loaded) => {
        if (mine !== turn.current) return;
        setData(loaded);
        setError('');
      })
      .catch((cause) => mine === turn.current && setError(message(cause)))
      .finally(() => {
        if (mine === turn.current && everyMs) timer.current = setTimeout(run, everyMs);
      });
  }, []);
  useEffect(() => {
    run();
    return () => {
      turn.current++;
      clearTimeout(timer.current);
    };
  }, on);
  return { data, error, reload: run, put: setData };
}
