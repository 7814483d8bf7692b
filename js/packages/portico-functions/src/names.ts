/** Names and titles. */

/** Whether a title only repeats a name: "Price of flat" and `price_of_flat` do. */
export function sayTheSame(title: string, name: string): boolean {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
  return plain(title) === plain(name);
}
