/** Methods of something that may not be there yet. */

/** Methods that go to what `target` answers when they are called. */
export function forward<T, K extends keyof T & string>(names: readonly K[], target: () => T): Pick<T, K> {
	const call =
		(name: K) =>
		(...args: unknown[]): unknown => {
			const owner = target();
			return (owner[name] as (...args: unknown[]) => unknown).apply(owner, args);
		};
	return Object.fromEntries(names.map((name) => [name, call(name)])) as unknown as Pick<T, K>;
}
