// What the daemon asks while a login is under way, put to a person and answered.
import type { ConversationLine } from "../shared/logins.ts";
import { routes } from "../shared/routes.ts";
import { askProgram } from "./askpass.ts";
import type { Means } from "./caller.ts";
import type { Invocation } from "./command.ts";
import { hearLines, openStream } from "./event-stream.ts";
import { remarkAs } from "./fail.ts";
import { Terminal } from "./terminal.ts";

type Prompt = Extract<ConversationLine, { type: "prompt" }>;

/** Puts questions to a person. Gives null when they will not answer. */
interface Person {
  ask(prompt: Prompt): Promise<string | null>;
  /** Lets go of what it holds. */
  end(): void;
}

/** Opens a conversation for as long as `run` takes; `run` is given its id. @throws what `run` throws, DAEMON_UNREACHABLE */
export async function converse<T>(
  invocation: Invocation,
  means: Means,
  run: (id: string) => Promise<T>,
): Promise<T> {
  const { method, url: path } = routes.openConversation;
  const stream = await openStream(await invocation.daemon(), { method, path });
  const person = personBy(means, invocation);
  try {
    const opened = new Promise<string>((resolve, reject) => {
      hearLines(stream, (text) => {
        const line = JSON.parse(text) as ConversationLine;
        if (line.type === "opened") resolve(line.id);
        else void opened.then((id) => hear(line, { id, person, invocation }));
        return true;
      }).catch(reject); // it ends with the daemon, or with us
    });
    return await run(await opened);
  } finally {
    stream.destroy();
    person.end();
  }
}

function personBy(means: Means, invocation: Invocation): Person {
  if (means.kind === "terminal") return new Terminal(means.descriptor);
  const ask = (prompt: Prompt) => {
    const { kind, instructions } = prompt;
    // As ssh: what a server has to say before it asks goes to stderr; whom one is about to trust is part of the question.
    const isPart = kind === "host-key" || instructions === null;
    if (!isPart) remarkAs(invocation, instructions);
    const asked = isPart ? prompt : { ...prompt, instructions: null };
    return askProgram(means.program, asked, invocation.context.env);
  };
  return { ask, end: () => undefined };
}

async function hear(
  line: ConversationLine,
  { id, person, invocation }: { id: string; person: Person; invocation: Invocation },
): Promise<void> {
  if (line.type === "notice") return remarkAs(invocation, line.text);
  if (line.type !== "prompt") return;
  const answer = await person.ask(line).catch(() => null);
  // The login may be over meanwhile: what became of it is told elsewhere.
  await invocation
    .call("answerPrompt", { params: { id }, body: { prompt: line.id, answer } })
    .catch(() => undefined);
}
