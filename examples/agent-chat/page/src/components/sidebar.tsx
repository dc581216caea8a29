/** The list of conversations. */
import { type ReactNode, useEffect, useRef, useState } from "react";
import { type Entry, isUnread } from "../threads.ts";
import { useEntries, useSession, useShown } from "./hooks.tsx";
import { Icon } from "./icons.tsx";

export function Sidebar({ onChosen }: { readonly onChosen: () => void }): ReactNode {
	const session = useSession();
	const entries = useEntries();
	const shown = useShown();
	return (
		<nav className="sidebar-content" aria-label="Conversations" data-testid="sidebar">
			<div className="brand">
				<span className="brand-mark">
					<Icon name="wire" size={20} />
				</span>
				<span>agent-chat</span>
			</div>
			<button
				type="button"
				className="new"
				data-testid="new-conversation"
				onClick={() => {
					session.create();
					onChosen();
				}}
			>
				<Icon name="plus" size={16} /> New conversation
			</button>
			{entries.length === 0 ? <p className="none">Your conversations will be listed here.</p> : undefined}
			<ul className="entries">
				{entries.map((entry) => (
					<Row key={entry.id} entry={entry} shown={entry.id === shown} onChosen={onChosen} />
				))}
			</ul>
			<p className="who">
				Signed in as <strong>{session.user}</strong>
			</p>
		</nav>
	);
}

function Row({ entry, shown, onChosen }: { readonly entry: Entry; readonly shown: boolean; readonly onChosen: () => void }): ReactNode {
	const session = useSession();
	const [mode, setMode] = useState<"row" | "rename" | "delete">("row");
	const unread = !shown && isUnread(entry);
	if (mode === "rename") {
		return (
			<li className="entry editing">
				<Rename
					title={entry.title}
					onDone={(title) => {
						if (title !== undefined) session.threads.rename(entry.id, title);
						setMode("row");
					}}
				/>
			</li>
		);
	}
	if (mode === "delete") {
		return (
			<li className="entry editing">
				<div className="confirm" role="group" aria-label={`Delete “${entry.title}” from this browser?`}>
					<span>Delete from this browser?</span>
					{/* biome-ignore lint/a11y/noAutofocus: it replaces the button that had the focus */}
					<button type="button" className="small danger" autoFocus onClick={() => session.remove(entry.id)}>
						Delete
					</button>
					<button type="button" className="small quiet" onClick={() => setMode("row")}>
						Keep
					</button>
				</div>
			</li>
		);
	}
	return (
		<li className="entry" data-testid="conversation" data-shown={shown} data-unread={unread}>
			<button
				type="button"
				className="open"
				aria-current={shown ? "page" : undefined}
				onClick={() => {
					session.show(entry.id);
					onChosen();
				}}
			>
				{unread ? (
					<span className="unread">
						<span className="sr-only">Unread: </span>
					</span>
				) : undefined}
				<span className="title">{entry.title}</span>
			</button>
			<span className="entry-tools">
				<button type="button" className="icon-only" aria-label={`Rename “${entry.title}”`} title="Rename" onClick={() => setMode("rename")}>
					<Icon name="edit" size={15} />
				</button>
				<button type="button" className="icon-only" aria-label={`Delete “${entry.title}” from this browser`} title="Delete" onClick={() => setMode("delete")}>
					<Icon name="trash" size={15} />
				</button>
			</span>
		</li>
	);
}

function Rename({ title, onDone }: { readonly title: string; readonly onDone: (title: string | undefined) => void }): ReactNode {
	const field = useRef<HTMLInputElement>(null);
	useEffect(() => field.current?.select(), []);
	return (
		<form
			onSubmit={(event) => {
				event.preventDefault();
				onDone(field.current?.value);
			}}
		>
			<input
				ref={field}
				defaultValue={title}
				maxLength={120}
				aria-label="Title of the conversation"
				onBlur={(event) => onDone(event.target.value)}
				onKeyDown={(event) => {
					if (event.key !== "Escape") return;
					event.stopPropagation();
					onDone(undefined);
				}}
			/>
		</form>
	);
}
