/** React on a stage. */
import "./document.js";
import "./refresh.js";
import { Component, createElement as h, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { ClientProvider } from "../../src/react/client.js";
import { leavesNothing, OPTIONS, type Stage } from "./dom.js";

/** Renders into the stage, and takes it away at the end. */
export function mount(stage: Stage, node: ReactNode): { render(node: ReactNode): Promise<void>; unmount(): Promise<void> } {
	const root = createRoot(stage.root, { onUncaughtError: (error) => stage.said.push(`uncaught: ${error}`), onCaughtError: () => undefined });
	root.render(node);
	return {
		render: async (next) => {
			root.render(next);
			await stage.settle();
		},
		unmount: async () => {
			root.unmount();
			await leavesNothing(stage);
		},
	};
}

/** A provider as people write it: its options are new with each render. */
export function inline(stage: Stage, ...children: ReactNode[]): ReactNode {
	const logger = { error: (message: string) => void stage.logged.push(message) };
	return h(ClientProvider, { options: { ...OPTIONS, token: () => "secret-token", logger }, createClient: stage.createClient }, ...children);
}

/** Shows what was thrown below it. */
export class Boundary extends Component<{ children?: ReactNode }, { error?: Error }> {
	override state: { error?: Error } = {};
	static getDerivedStateFromError = (error: Error) => ({ error });
	override render(): ReactNode {
		return this.state.error === undefined ? this.props.children : h("p", null, `caught ${this.state.error.message}`);
	}
}
