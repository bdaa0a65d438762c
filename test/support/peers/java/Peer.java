// Bouncy Castle behind a line protocol, so that one warm JVM serves all tests and benches.
//
// Request:  OP NAME=BASE64 NAME=BASE64 ...     on one line of standard input
// Response: ok BASE64   or   no BASE64         (the octets, or the text of the error)
//
// Operations: version; encrypt; decrypt; sign; verify; compress; uncompress; protect (a whole mail); and with seconds=N
// "loop" around the operation named by op=...: the response is the number of runs, the seconds that they took, and the
// seconds of processor time (those of the compiler and the collector too).
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.security.Security;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

public class Peer {
  interface Parser<T> {
    T parse(byte[] octets) throws Exception;
  }

  /** The arguments of a request, decoded as they are asked for. */
  static final class Request {
    final String op;
    private final Map<String, byte[]> values = new HashMap<>();
    private final Map<String, Object> parsed = new HashMap<>();

    Request(String line) {
      String[] words = line.trim().split(" ");
      op = words[0];
      for (int i = 1; i < words.length; i++) {
        int at = words[i].indexOf('=');
        values.put(words[i].substring(0, at), Base64.getDecoder().decode(words[i].substring(at + 1)));
      }
    }

    boolean has(String name) {
      return values.containsKey(name);
    }

    byte[] octets(String name) {
      byte[] value = values.get(name);
      if (value == null) throw new IllegalArgumentException("the request has no " + name);
      return value;
    }

    /** The value parsed once, so that a loop measures messages and not the reading of keys. */
    @SuppressWarnings("unchecked")
    <T> T once(String name, Parser<T> parser) throws Exception {
      Object found = parsed.get(name);
      if (found == null) parsed.put(name, found = parser.parse(octets(name)));
      return (T) found;
    }

    String text(String name) {
      return new String(octets(name), StandardCharsets.UTF_8);
    }

    String text(String name, String otherwise) {
      return has(name) ? text(name) : otherwise;
    }
  }

  public static void main(String[] args) throws Exception {
    Security.addProvider(new BouncyCastleProvider());
    PrintStream out = new PrintStream(System.out, true, "US-ASCII");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII), 1 << 20);
    for (String line = in.readLine(); line != null; line = in.readLine()) out.println(answer(new Request(line)));
  }

  private static String answer(Request request) {
    try {
      byte[] octets = request.op.equals("loop") ? loop(request) : perform(request.op, request);
      return "ok " + Base64.getEncoder().encodeToString(octets);
    } catch (Throwable error) {
      Throwable root = error;
      while (root.getCause() != null && root.getCause() != root) root = root.getCause();
      String text = root.getClass().getSimpleName() + ": " + root.getMessage();
      return "no " + Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }
  }

  private static byte[] perform(String op, Request request) throws Exception {
    switch (op) {
      case "version":
        return (Security.getProvider("BC").getVersionStr()).getBytes(StandardCharsets.UTF_8);
      case "encrypt":
        return Enveloped.encrypt(request);
      case "decrypt":
        return Enveloped.decrypt(request);
      case "protect":
        return Mail.protect(request);
      case "sign":
        return Signed.sign(request);
      case "verify":
        return Signed.verify(request);
      case "compress":
        return Signed.compress(request);
      case "uncompress":
        return Signed.uncompress(request);
      default:
        throw new IllegalArgumentException("no operation " + op);
    }
  }

  private static long processorTime() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }

  /** Repeats an operation for about so many seconds after a warm-up, which is as long as the codec's in the benches. */
  private static byte[] loop(Request request) throws Exception {
    String op = request.text("op");
    double seconds = Double.parseDouble(request.text("seconds"));
    long warm = System.nanoTime() + 2_500_000_000L;
    while (System.nanoTime() < warm) perform(op, request);
    long processor = processorTime();
    long start = System.nanoTime();
    long runs = 0;
    do {
      perform(op, request);
      runs++;
    } while (System.nanoTime() - start < seconds * 1e9);
    String result = runs + " " + (System.nanoTime() - start) / 1e9 + " " + (processorTime() - processor) / 1e9;
    return result.getBytes(StandardCharsets.UTF_8);
  }
}
