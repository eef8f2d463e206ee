using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using System.Threading.Tasks;

namespace Kiln.Lambda
{
    /// <summary>
    /// The method that a handler's name stands for: ASSEMBLY::TYPE::METHOD, or with a
    /// whole signature in METHOD's place. It takes an event, a context, both or none; what
    /// it returns may be a task.
    /// </summary>
    internal sealed class Handler
    {
        private const string Core = "Amazon.Lambda.Core.";
        private const string Annotation = Core + "LambdaSerializerAttribute";
        private const BindingFlags Any = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance;

        private readonly MethodInfo method;
        private readonly object target;
        private readonly object serializer;
        private readonly MethodInfo read; // of the serializer, for the event's type
        private readonly MethodInfo write;
        private readonly Type input; // null: none
        private readonly Type context; // null: none
        private readonly Type output;
        private readonly PropertyInfo result; // of a task with one

        /// <summary>Loads the assembly and makes the object that the method belongs to.</summary>
        internal static Handler Load(string name, Log log)
        {
            var parts = name.Split(new[] { "::" }, StringSplitOptions.None);
            const string format = " The valid format is 'ASSEMBLY::TYPE::METHOD'.";
            if (parts.Length != 3)
            {
                throw new Unusable("Invalid lambda function handler: '" + name + "'." + format);
            }
            string[] kinds = { "assembly", "type", "method" };
            for (int i = 0; i < 3; i++)
            {
                parts[i] = parts[i].Trim();
                if (parts[i] == "")
                {
                    throw new Unusable("Invalid lambda function handler: '" + name + "', the " + kinds[i] + " is missing." + format);
                }
            }
            AppDomain.CurrentDomain.AssemblyLoad += (sender, loaded) => Loggers.Install(loaded.LoadedAssembly, log);
            Assembly assembly;
            try
            {
                assembly = AssemblyLoadContext.Default.LoadFromAssemblyName(new AssemblyName(parts[0]));
            }
            catch (FileNotFoundException error)
            {
                throw new Unusable("Could not find the specified handler assembly with the file name '" + error.FileName +
                    "'. The assembly should be located in the root of your uploaded .zip file.");
            }
            catch (Exception error) when (error is FileLoadException || error is BadImageFormatException)
            {
                throw new Unusable("Unable to load assembly '" + parts[0] + "'.");
            }
            var type = assembly.GetType(parts[1]);
            if (type == null)
            {
                throw new Unusable("Unable to load type '" + parts[1] + "' from assembly '" + parts[0] + "'.");
            }
            return new Handler(Find(type, parts[2], parts[0]), type, assembly);
        }

        /// <summary>Finds the one method of that name or signature, in the type or those that it comes from.</summary>
        private static MethodInfo Find(Type type, string name, string assembly)
        {
            for (var at = type; at != null && at != typeof(object); at = at.BaseType)
            {
                var all = at.GetMethods(Any | BindingFlags.DeclaredOnly);
                var found = all.Where(m => m.ToString() == name).ToArray();
                if (found.Length == 0)
                {
                    found = all.Where(m => m.Name == name).ToArray();
                }
                if (found.Length > 1)
                {
                    throw new Unusable("The method '" + name + "' in type '" + at.FullName +
                        "' appears to have a number of overloads. To call this method please specify a complete method signature. Possible candidates are:\n" +
                        string.Join("\n", found.Select(m => m.ToString())) + ".");
                }
                if (found.Length == 1)
                {
                    return found[0];
                }
            }
            throw new Unusable("Unable to find method '" + name + "' in type '" + type.FullName + "' from assembly '" + assembly +
                "': Found no methods matching method name '" + name + "'.");
        }

        private Handler(MethodInfo method, Type type, Assembly assembly)
        {
            this.method = method;
            Check(method, type);
            var parameters = method.GetParameters();
            if (parameters.Length > 2)
            {
                throw new Unusable("Method '" + method.Name + "' of type '" + type.FullName + "' is not supported: the method has more than 2 parameters.");
            }
            foreach (var parameter in parameters)
            {
                if (parameter.ParameterType.FullName == Core + "ILambdaContext" && parameter.Position == parameters.Length - 1)
                {
                    context = parameter.ParameterType;
                }
                else if (parameter.Position == 0)
                {
                    input = parameter.ParameterType;
                }
                else
                {
                    throw new Unusable("Method '" + method.Name + "' of type '" + type.FullName +
                        "' is not supported: the method has 2 parameters, but the second parameter is not of type '" + Core + "ILambdaContext'.");
                }
            }
            output = method.ReturnType;
            if (output == typeof(Task))
            {
                output = typeof(void);
            }
            else if (output.IsGenericType && typeof(Task).IsAssignableFrom(output))
            {
                result = output.GetProperty("Result");
                output = result.PropertyType;
            }
            target = method.IsStatic ? null : Activator.CreateInstance(type);
            serializer = Serializer(method, assembly);
            read = SerializerMethod("Deserialize", input, "deserialize input", assembly);
            write = SerializerMethod("Serialize", output, "serialize output", assembly);
        }

        /// <summary>Refuses methods that cannot be called.</summary>
        private static void Check(MethodInfo method, Type type)
        {
            if (type.IsGenericType)
            {
                throw new Unusable("The type '" + type.FullName + "' cannot be used as a Lambda Handler type because it is generic. Handler methods cannot be located in generic types. Please specify a handler method in a non-generic type.");
            }
            if (type.IsAbstract && !method.IsStatic)
            {
                throw new Unusable("The instance method '" + method.Name + "' cannot be used as a Lambda Handler because its type '" + type.FullName + "' is abstract. Please either use a static handler or specify a type that is not abstract.");
            }
            if (method.IsGenericMethod)
            {
                throw new Unusable("The method '" + method.Name + "' cannot be used as a Lambda Handler because it is a generic method. Handler methods cannot be generic. Please specify a non-generic handler method.");
            }
            if (method.ReturnType == typeof(void) && method.IsDefined(typeof(AsyncStateMachineAttribute), false))
            {
                throw new Unusable("The method '" + method.Name + "' cannot be used as a Lambda Handler because it is an 'async void' method. Handler methods cannot be 'async void'. Please specify a method that is not 'async void'.");
            }
        }

        /// <summary>Makes the serializer that the method or its assembly names; null when none is named.</summary>
        private static object Serializer(MethodInfo method, Assembly assembly)
        {
            var named = method.GetCustomAttributes(false).Concat(assembly.GetCustomAttributes(false)).FirstOrDefault(IsAnnotation);
            if (named == null)
            {
                return null;
            }
            var type = (Type)named.GetType().GetProperty("SerializerType").GetValue(named);
            if (type == null)
            {
                throw new Unusable("The 'SerializerType' property on attribute class '" + named.GetType().FullName + "' is not set.");
            }
            if (type.GetConstructor(Type.EmptyTypes) == null)
            {
                throw new Unusable("The indicated serializer '" + type.FullName + "' does not define a public zero-parameter constructor.");
            }
            return Activator.CreateInstance(type);
        }

        private static bool IsAnnotation(object attribute)
        {
            for (var type = attribute.GetType(); type != null; type = type.BaseType)
            {
                if (type.FullName == Annotation)
                {
                    return true;
                }
            }
            return false;
        }

        /// <summary>Gives what reads or writes a type; null where bytes go through as they are.</summary>
        private MethodInfo SerializerMethod(string name, Type type, string doing, Assembly assembly)
        {
            if (type == null || type == typeof(void) || typeof(Stream).IsAssignableFrom(type))
            {
                return null;
            }
            if (serializer == null)
            {
                throw new Unusable("Could not find the LambdaSerializerAttribute on the assembly '" + assembly.GetName().Name + "' or method '" + method.Name +
                    "' while attempting to " + doing + " data of type '" + type.FullName +
                    "'. To use types other than System.IO.Stream as input/output parameters, the assembly or Lambda function should be annotated with " + Annotation + ".");
            }
            var shape = serializer.GetType().GetInterfaces().FirstOrDefault(i => i.FullName == Core + "ILambdaSerializer");
            if (shape == null)
            {
                throw new Unusable("The '" + serializer.GetType().FullName + "' class is invalid: it does not implement the 'ILambdaSerializer' interface.");
            }
            return shape.GetMethod(name).MakeGenericMethod(type);
        }

        /// <summary>Calls the method with an event and writes what it returned.</summary>
        internal void Call(Work work, MemoryStream answer, Log log)
        {
            var arguments = new object[(input == null ? 0 : 1) + (context == null ? 0 : 1)];
            if (input != null)
            {
                var text = new MemoryStream(work.Body, 0, work.Body.Length, false, true);
                arguments[0] = read == null ? text : read.Invoke(serializer, new object[] { text });
            }
            if (context != null)
            {
                var made = Named.Make<LambdaContext>(context);
                made.Fill(work, log, serializer);
                arguments[arguments.Length - 1] = made;
            }
            var value = method.Invoke(target, arguments);
            var task = value as Task;
            if (task != null)
            {
                task.GetAwaiter().GetResult();
                value = result == null ? null : result.GetValue(task);
            }
            if (output == typeof(void))
            {
                return;
            }
            if (write != null)
            {
                write.Invoke(serializer, new[] { value, answer });
            }
            else if (value != null)
            {
                using (var stream = (Stream)value)
                {
                    stream.CopyTo(answer);
                }
            }
        }
    }

    /// <summary>Leads the static logger of AWS's package to the function's log.</summary>
    internal static class Loggers
    {
        /// <summary>Sets the actions behind LambdaLogger, as many as this version of the package has.</summary>
        internal static void Install(Assembly assembly, Log log)
        {
            if (assembly.GetName().Name != "Amazon.Lambda.Core")
            {
                return;
            }
            var type = assembly.GetType("Amazon.Lambda.Core.LambdaLogger");
            if (type == null)
            {
                return;
            }
            Set(type, "_loggingAction", new Action<string>(message => log.Message(Log.None, message, null, null)));
            Set(type, "_loggingWithLevelAction", new Action<string, string, object[]>((level, message, values) => log.Message(Log.LevelOf(level), message, null, values)));
            Set(type, "_loggingWithLevelAndExceptionAction", new Action<string, Exception, string, object[]>(
                (level, error, message, values) => log.Message(Log.LevelOf(level), message, error, values)));
        }

        private static void Set(Type type, string name, Delegate action)
        {
            var field = type.GetField(name, BindingFlags.NonPublic | BindingFlags.Static);
            if (field != null && field.FieldType == action.GetType())
            {
                field.SetValue(null, action);
            }
        }
    }
}
