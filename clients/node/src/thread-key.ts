/** The key of a thread that a user has for themselves: `threadKey("ada", "plan")` is `ada/plan`. */
export function threadKey(user: string, name: string): string {
	return `${escaped(user)}/${escaped(name)}`;
}

const escaped = (part: string): string => part.replaceAll("%", "%25").replaceAll("/", "%2F");
