/** The page: conversations on the left, the conversation, the strip below it, and the switches on the right. */
import { AgentwireThread } from "agentwire/react";
import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { Announcer } from "./components/announcer.tsx";
import { Banner } from "./components/banner.tsx";
import { Composer, ComposerProvider } from "./components/composer.tsx";
import { FaultPanel } from "./components/fault-panel.tsx";
import { Header } from "./components/header.tsx";
import { DeliveryProvider, useEntries, useMedia, useSession, useShown } from "./components/hooks.tsx";
import { Listing } from "./components/listing.tsx";
import { Sidebar } from "./components/sidebar.tsx";
import { Transcript } from "./components/transcript.tsx";
import { TruthStrip } from "./components/truth-strip.tsx";
import { isUnread } from "./threads.ts";

/** Below these widths a panel lies over the page instead of beside it. */
const MENU_OVER = "(max-width: 860px)";
const FAULTS_OVER = "(max-width: 1180px)";

export function Page(): ReactNode {
	const { following } = useSession();
	const shown = useShown();
	const [menu, setMenu] = useState(false);
	const [faults, setFaults] = useState(false);
	const menuOver = useMedia(MENU_OVER);
	const faultsOver = useMedia(FAULTS_OVER);
	const sidebar = useRef<HTMLDivElement>(null);
	const panel = useRef<HTMLDivElement>(null);
	const closeMenu = useCallback(() => {
		setMenu(false);
		document.getElementById("menu-button")?.focus();
	}, []);
	const closeFaults = useCallback(() => {
		setFaults(false);
		document.getElementById("fault-button")?.focus();
	}, []);
	useEffect(() => {
		if (menu) sidebar.current?.querySelector("button")?.focus();
	}, [menu]);
	useEffect(() => {
		if (faults) panel.current?.querySelector<HTMLElement>("[data-testid='fault-cut']")?.focus();
	}, [faults]);
	useEffect(() => {
		const onKeyDown = (event: KeyboardEvent): void => {
			if (event.key !== "Escape" || event.defaultPrevented) return;
			if (menu && menuOver) closeMenu();
			else if (faults && (faultsOver || panel.current?.contains(document.activeElement) === true)) closeFaults();
		};
		addEventListener("keydown", onKeyDown);
		return () => removeEventListener("keydown", onKeyDown);
	}, [menu, menuOver, faults, faultsOver, closeMenu, closeFaults]);
	const covered = menuOver && menu;
	return (
		<>
			<Title />
			<a className="skip" href="#composer">
				Skip to the question field
			</a>
			<div className="app" data-menu={menu} data-faults={faults}>
				<div className="sidebar" id="sidebar" ref={sidebar} inert={menuOver && !menu}>
					<Sidebar onChosen={() => (menuOver ? closeMenu() : undefined)} />
				</div>
				{/* biome-ignore lint/a11y/useKeyWithClickEvents: Escape does the same */}
				{/* biome-ignore lint/a11y/noStaticElementInteractions: what lies beside an open menu is no control */}
				{covered ? <div className="scrim" onClick={closeMenu} /> : undefined}
				<main className="main" inert={covered}>
					<Header menu={menu} onMenu={() => setMenu(!menu)} faults={faults} onFaults={() => setFaults(!faults)} />
					<Banner />
					<AgentwireThread name={shown} options={following}>
						<DeliveryProvider>
							<ComposerProvider key={shown}>
								<Listing />
								<Transcript />
								<Composer />
								<Announcer />
							</ComposerProvider>
							<TruthStrip />
						</DeliveryProvider>
					</AgentwireThread>
				</main>
				<aside className="faults" id="faults" ref={panel} hidden={!faults} aria-label="Faults">
					{faults ? <FaultPanel onClose={closeFaults} /> : undefined}
				</aside>
			</div>
		</>
	);
}

/** The title of the tab and the address follow what is shown. */
function Title(): null {
	const { show } = useSession();
	const id = useShown();
	const entries = useEntries();
	const title = entries.find((entry) => entry.id === id)?.title;
	const unread = entries.filter((entry) => entry.id !== id && isUnread(entry)).length;
	useEffect(() => {
		document.title = `${unread > 0 ? `(${unread}) ` : ""}${title === undefined ? "" : `${title} · `}agent-chat`;
	}, [title, unread]);
	const listed = title !== undefined;
	useEffect(() => {
		const hash = listed ? `#/c/${encodeURIComponent(id)}` : "";
		if (location.hash !== hash) history.pushState(undefined, "", `${location.pathname}${location.search}${hash}`);
	}, [id, listed]);
	useEffect(() => {
		const onPopState = (): void => {
			const shown = idInAddress();
			if (shown !== undefined) show(shown);
		};
		addEventListener("popstate", onPopState);
		return () => removeEventListener("popstate", onPopState);
	}, [show]);
	return null;
}

/** The conversation that the address names. */
export function idInAddress(): string | undefined {
	const part = /^#\/c\/(.+)$/.exec(location.hash)?.[1];
	try {
		return part === undefined ? undefined : decodeURIComponent(part);
	} catch {
		return undefined;
	}
}
