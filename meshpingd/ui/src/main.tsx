// SPDX-License-Identifier: Apache-2.0
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { render } from 'preact';
import '@preact/signals';
import { App } from './app.tsx';
import { guardDrafts } from './drafts.ts';
import { startLive } from './live.ts';
import { startTheme } from './theme.ts';

startTheme();
startLive();
guardDrafts();
render(<App />, document.getElementById('app')!);
