/** Something that a person decides: a question, and the arguments that it is about, which the person may change. */
import type { ApprovalPart } from "agentwire/conversation";
import { useApproval } from "agentwire/react";
import { type FormEvent, type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { approved, type Field, type Filled, type Form, formOf, JSON_FIELD, read } from "../approvals.ts";
import { approvalState, approveOutcome, notDone } from "../words.ts";
import { Icon } from "./icons.tsx";
import { Inline } from "./markdown.tsx";

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export function Approval({ runId, approvalId }: { readonly runId: string; readonly approvalId: string }): ReactNode {
	const { approval, answer, answering, outcome, error } = useApproval(runId, approvalId);
	const prompt = useId();
	const group = useRef<HTMLDivElement>(null);
	const state = approval?.state;
	const wasOpen = useRef(state === "open");
	useEffect(() => {
		// The buttons are gone, and the focus with them, if it was there.
		if (wasOpen.current && state !== "open" && document.activeElement === document.body) group.current?.focus();
		wasOpen.current = state === "open";
	}, [state]);
	if (approval === undefined) return null;
	const words = outcome === undefined ? undefined : approveOutcome(outcome);
	return (
		<div className="approval" role="group" aria-labelledby={prompt} ref={group} tabIndex={-1} data-testid="approval" data-state={approval.state}>
			<p className="prompt" id={prompt}>
				<Icon name="hand" size={16} />
				<span>
					<span className="sr-only">The agent asks: </span>
					<Inline text={approval.requested ? approval.prompt : "The question was lost."} />
				</span>
			</p>
			{approval.state === "open" ? (
				<Asked approval={approval} answering={answering || outcome?.status === "accepted"} onAnswer={answer} />
			) : (
				<Decided approval={approval} />
			)}
			<div role="status" className="trouble">
				{error === undefined ? words : notDone(error)}
			</div>
		</div>
	);
}

interface AskedProps {
	readonly approval: ApprovalPart;
	readonly answering: boolean;
	readonly onAnswer: ReturnType<typeof useApproval>["answer"];
}

function Asked({ approval, answering, onAnswer }: AskedProps): ReactNode {
	const [form] = useState(() => formOf(approval));
	const [filled, setFilled] = useState<Filled>(form?.filled ?? {});
	const [wrong, setWrong] = useState<Readonly<Record<string, string>>>({});
	const [reason, setReason] = useState<string>();
	const element = useRef<HTMLFormElement>(null);
	const isChanged = form !== undefined && Object.keys(filled).some((name) => filled[name] !== form.filled[name]);
	const approve = (event: FormEvent): void => {
		event.preventDefault();
		if (form === undefined) return void onAnswer("approved");
		const reading = read(form.fields, filled);
		setWrong(reading.wrong ?? {});
		if (reading.wrong === undefined) return void onAnswer(approved(approval, reading.value));
		const [first] = Object.keys(reading.wrong);
		element.current?.querySelector<HTMLElement>(`[name="${CSS.escape(first ?? "")}"]`)?.focus();
	};
	const deny = (): void => void onAnswer(reason === undefined || reason.trim() === "" ? "denied" : { decision: "denied", reason: reason.trim() });
	const onReasonKey = (event: KeyboardEvent): void => {
		if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
		// Whoever says why not does not approve.
		event.preventDefault();
		if (!answering) deny();
	};
	return (
		<form ref={element} onSubmit={approve} noValidate>
			{form === undefined ? (
				<Arguments args={approval.args} />
			) : (
				<Inputs form={form} filled={filled} wrong={wrong} onFill={(name, value) => setFilled({ ...filled, [name]: value })} />
			)}
			{reason === undefined ? undefined : (
				<label className="field">
					<span>Why not?</span>
					{/* biome-ignore lint/a11y/noAutofocus: it replaces the button that had the focus */}
					<input type="text" value={reason} maxLength={500} autoFocus onChange={(event) => setReason(event.target.value)} onKeyDown={onReasonKey} />
				</label>
			)}
			<div className="buttons">
				<button type="submit" className="primary" disabled={answering}>
					{isChanged && approval.editable ? "Approve with changes" : "Approve"}
				</button>
				<button type="button" disabled={answering} onClick={deny}>
					Deny
				</button>
				{reason === undefined ? (
					<button type="button" className="quiet" disabled={answering} onClick={() => setReason("")}>
						Say why not…
					</button>
				) : undefined}
				{approval.expiresAt === undefined ? undefined : <span className="until time">until {CLOCK.format(approval.expiresAt)}</span>}
			</div>
		</form>
	);
}

interface InputsProps {
	readonly form: Form;
	readonly filled: Filled;
	readonly wrong: Readonly<Record<string, string>>;
	readonly onFill: (name: string, value: string | boolean) => void;
}

function Inputs({ form, filled, wrong, onFill }: InputsProps): ReactNode {
	if (form.fields === undefined) {
		return (
			<Labelled name={JSON_FIELD} label="Arguments" help="As JSON" wrong={wrong[JSON_FIELD]} isChanged={filled[JSON_FIELD] !== form.filled[JSON_FIELD]}>
				{(described) => (
					<textarea
						{...described}
						rows={6}
						spellCheck={false}
						value={String(filled[JSON_FIELD])}
						onChange={(event) => onFill(JSON_FIELD, event.target.value)}
					/>
				)}
			</Labelled>
		);
	}
	return (
		<div className="fields">
			{[...form.fields]
				.sort((one, other) => Number(one.kind === "flag") - Number(other.kind === "flag"))
				.map((field) => (
					<Input
						key={field.name}
						field={field}
						value={filled[field.name] ?? ""}
						wrong={wrong[field.name]}
						isChanged={filled[field.name] !== form.filled[field.name]}
						onFill={(value) => onFill(field.name, value)}
					/>
				))}
		</div>
	);
}

interface InputProps {
	readonly field: Field;
	readonly value: string | boolean;
	readonly wrong: string | undefined;
	readonly isChanged: boolean;
	readonly onFill: (value: string | boolean) => void;
}

function Input({ field, value, wrong, isChanged, onFill }: InputProps): ReactNode {
	const { name, label, help, kind, isRequired, isWhole } = field;
	if (kind === "flag") {
		return (
			<label className="flag" data-changed={isChanged}>
				<input type="checkbox" name={name} checked={value === true} onChange={(event) => onFill(event.target.checked)} />
				<span>{label}</span>
			</label>
		);
	}
	return (
		<Labelled name={name} label={label} help={help ?? (isRequired ? undefined : "May be left empty")} wrong={wrong} isChanged={isChanged}>
			{(described) => (
				<input
					{...described}
					type="text"
					inputMode={kind === "text" ? "text" : isWhole ? "numeric" : "decimal"}
					autoComplete="off"
					spellCheck={false}
					value={String(value)}
					required={isRequired}
					onChange={(event) => onFill(event.target.value)}
				/>
			)}
		</Labelled>
	);
}

/** What ties a control to its label, its help and what is wrong with it. */
interface Described {
	readonly id: string;
	readonly name: string;
	readonly "aria-describedby": string | undefined;
	readonly "aria-invalid": boolean;
}

interface LabelledProps {
	readonly name: string;
	readonly label: string;
	readonly help: string | undefined;
	readonly wrong: string | undefined;
	readonly isChanged: boolean;
	readonly children: (described: Described) => ReactNode;
}

function Labelled({ name, label, help, wrong, isChanged, children }: LabelledProps): ReactNode {
	const id = useId();
	const words = wrong ?? help;
	return (
		<div className="field" data-changed={isChanged}>
			<label htmlFor={id}>
				{label}
				{isChanged ? <span className="changed">changed</span> : undefined}
			</label>
			{children({ id, name, "aria-describedby": words === undefined ? undefined : `${id}-help`, "aria-invalid": wrong !== undefined })}
			{words === undefined ? undefined : (
				<small id={`${id}-help`} className={wrong === undefined ? "help" : "wrong"} role={wrong === undefined ? undefined : "alert"}>
					{words}
				</small>
			)}
		</div>
	);
}

function Decided({ approval }: { readonly approval: ApprovalPart }): ReactNode {
	return (
		<>
			<Arguments args={approval.editedArgs ?? approval.payload ?? approval.args} />
			<p className="decision" data-testid="decision">
				<Icon name={approval.decision === "approved" ? "check" : approval.decision === undefined ? "orphan" : "close"} size={15} />
				{approvalState(approval)}
			</p>
		</>
	);
}

/** What it was about. */
function Arguments({ args }: { readonly args: unknown }): ReactNode {
	if (args === undefined) return null;
	if (typeof args !== "object" || args === null) return <pre>{JSON.stringify(args)}</pre>;
	return (
		<dl className="arguments">
			{Object.entries(args).map(([name, value]) => (
				<div key={name}>
					<dt>{name}</dt>
					<dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
				</div>
			))}
		</dl>
	);
}
