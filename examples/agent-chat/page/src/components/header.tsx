import { useConnection } from "agentwire/react";
import type { ReactNode } from "react";
import { theme } from "../theme.ts";
import { UNTITLED } from "../threads.ts";
import { connection as connectionWords } from "../words.ts";
import { useEntries, useFaults, useNow, useObserved, useShown } from "./hooks.tsx";
import { Icon } from "./icons.tsx";

export interface HeaderProps {
	readonly menu: boolean;
	readonly onMenu: () => void;
	readonly faults: boolean;
	readonly onFaults: () => void;
}

export function Header({ menu, onMenu, faults, onFaults }: HeaderProps): ReactNode {
	const shown = useShown();
	const title = useEntries().find(({ id }) => id === shown)?.title ?? UNTITLED;
	const dark = useObserved(theme, ({ present }) => present) === "dark";
	return (
		<header className="header">
			<button
				type="button"
				className="icon-only menu-button"
				id="menu-button"
				aria-label="Conversations"
				aria-expanded={menu}
				aria-controls="sidebar"
				onClick={onMenu}
			>
				<Icon name="menu" />
			</button>
			<h1 data-testid="title">{title}</h1>
			<ConnectionPill />
			<button
				type="button"
				className="icon-only"
				aria-label={dark ? "Light colours" : "Dark colours"}
				title={dark ? "Light colours" : "Dark colours"}
				onClick={() => theme.toggle()}
			>
				<Icon name={dark ? "sun" : "moon"} />
			</button>
			<button type="button" className="break" id="fault-button" data-testid="fault-button" aria-expanded={faults} aria-controls="faults" onClick={onFaults}>
				<Icon name="bolt" size={16} /> <span>Break it</span>
				<FaultsOn />
			</button>
		</header>
	);
}

function ConnectionPill(): ReactNode {
	const connection = useConnection(({ state }) => state);
	const now = useNow(connection.name === "waiting" ? 250 : undefined);
	return (
		<span
			className="pill"
			data-testid="connection"
			data-state={connection.name}
			title={connection.name === "connected" ? undefined : `Because of: ${connection.reason}`}
		>
			<i aria-hidden="true" />
			{connectionWords(connection, now)}
		</span>
	);
}

/** How many faults are switched on. */
function FaultsOn(): ReactNode {
	const { switches, expiring } = useFaults();
	const { everyMs, frozen, offline } = switches;
	const on = [everyMs > 0, frozen, offline, expiring].filter(Boolean).length;
	if (on === 0) return null;
	return (
		<span className="count">
			{on}
			<span className="sr-only"> switched on</span>
		</span>
	);
}
