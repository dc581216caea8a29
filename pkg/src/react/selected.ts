/** Reads a source, and renders the component when what it selected changes. */
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { type Equality, shallowEqual } from "../hooks/compare.js";
import { type Selected, type Selector, type Source, selection } from "../hooks/selection.js";

/** The selected part. A result that equals the former one is that object. */
export function useSelected<S, T>(source: Source<S>, select: Selector<S, T>, equal: Equality<T> = shallowEqual): T {
	const former = useRef<Selected<T> | undefined>(undefined);
	const [read, readOnServer] = useMemo(
		() => [selection(source.getSnapshot, select, equal, former.current), selection(source.getServerSnapshot, select, equal)],
		[source, select, equal],
	);
	const value = useSyncExternalStore(source.subscribe, read, readOnServer);
	// A selector that is written inside the component is new with each render.
	useEffect(() => {
		former.current = { value };
	}, [value]);
	return value;
}
