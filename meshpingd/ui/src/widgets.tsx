// SPDX-License-Identifier: Apache-2.0
// Small parts that several pages share.
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { message } from './api.ts';
import { drawGlyph, stateInfo } from './states.ts';
import { theme } from './theme.ts';

/** A state as the matrix shows it: same colours, same glyph. */
export function StateMark({ state, size = 18 }: { state: number; size?: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const key = stateInfo(state).key;
  const look = theme.value;
  useEffect(() => {
    const c = canvas.current?.getContext('2d');
    if (!canvas.current || !c) return;
    const scale = devicePixelRatio || 1;
    canvas.current.width = canvas.current.height = Math.round(size * scale);
    const ink = getComputedStyle(canvas.current).getPropertyValue(`--ink-${key}`).trim();
    c.scale(scale, scale);
    c.fillStyle = c.strokeStyle = ink;
    drawGlyph(c, state, size / 2, size / 2, size * 0.62);
  }, [state, size, look, key]);
  return <canvas ref={canvas} class={`state-mark mark-${key} mark-${size}`} aria-hidden="true" />;
}

export function Notice({ kind, children }: { kind: 'error' | 'good' | 'warn' | 'info'; children: ComponentChildren }) {
  return <div class={`notice ${kind}`} role={kind === 'error' ? 'alert' : 'status'}>{children}</div>;
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [said, setSaid] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid('Copied');
    } catch {
      setSaid('Not allowed; select the text and copy it');
    }
    setTimeout(() => setSaid(''), 2500);
  };
  return <button type="button" class="quiet" aria-label={said || label} aria-live="polite" onClick={copy}>{said || 'Copy'}</button>;
}

/** A modal dialog, which takes the focus and gives it back; to the page, if what had it has gone. */
export function useModal(): RefObject<HTMLDialogElement | null> {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement, element = dialog.current;
    element?.showModal();
    return () => {
      element?.close();
      setTimeout(() => {
        if (document.querySelector('dialog[open]')) return;
        if (before instanceof HTMLElement && before.isConnected && before !== document.body) before.focus();
        else document.getElementById('main')?.focus();
      });
    };
  }, []);
  return dialog;
}

/** A question before something that matters, or without `yes` something to read; the browser's own modal dialog keeps focus and Esc right. */
export function Confirm({ title, yes, danger, busy, onYes, onNo, children }: {
  title: string; yes?: string; danger?: boolean; busy?: boolean; onYes?: () => void; onNo: () => void; children: ComponentChildren;
}) {
  const dialog = useModal();
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onCancel={(event) => { event.preventDefault(); onNo(); }}>
      <h2 id="confirm-title">{title}</h2>
      {children}
      <div class="actions">
        <button type="button" onClick={onNo}>{yes ? 'Cancel' : 'Close'}</button>
        {yes && <button type="button" class={danger ? 'danger' : 'primary'} disabled={busy} onClick={onYes} data-testid="confirm">{yes}</button>}
      </div>
    </dialog>
  );
}

/** A confirmation that runs its own request, says why it failed, and closes when it was done. */
export function Question({ title, yes, danger, run, close, ready = true, children }: {
  title: string; yes: string; danger?: boolean; run: () => Promise<void>; close: () => void; ready?: boolean; children: ComponentChildren;
}) {
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState('');
  const go = async () => {
    setBusy(true);
    setFailed('');
    try {
      await run();
      close();
    } catch (cause) {
      setFailed(message(cause));
      setBusy(false);
    }
  };
  return (
    <Confirm title={title} yes={yes} danger={danger} busy={busy || !ready} onYes={go} onNo={close}>
      {children}
      {failed && <Notice kind="error">{failed}</Notice>}
    </Confirm>
  );
}

/** Something that is shown once: a link, a token. */
export function Secret({ title, words, label, text, close, testid }: {
  title: string; words: string; label: string; text: string; close: () => void; testid: string;
}) {
  return (
    <section class="panel pad issued" aria-label={title}>
      <header class="panel-head flat"><h2>{title}</h2><button type="button" class="quiet" onClick={close}>Done</button></header>
      <Notice kind="warn">{words}</Notice>
      <div class="code"><code data-testid={testid}>{text}</code><CopyButton text={text} label={label} /></div>
    </section>
  );
}
