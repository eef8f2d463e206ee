package test;

/** The smallest program, to compare a cold start with. */
public class Bare {
    public static void main(String[] arguments) {
        System.out.println("hello");
    }
}
