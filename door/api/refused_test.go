package api

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln"
	"kiln/door/auth"
	"kiln/door/lambda"
)

// obeyed are the members of the requests that change what kiln does. Every other
// member of the model must be refused as soon as it is not its default.
var obeyed = map[string]bool{
	"FunctionName": true, "Runtime": true, "Role": true, "Handler": true, "Code.ZipFile": true, "ZipFile": true, "Description": true, "KMSKeyArn": true, "DeadLetterConfig.TargetArn": true,
	"Timeout": true, "MemorySize": true, "Publish": true, "Environment.Variables": true, "Tags": true, "Architectures": true,
	"EphemeralStorage.Size": true, "LoggingConfig.LogGroup": true, "LoggingConfig.LogFormat": true, "LoggingConfig.ApplicationLogLevel": true,
	"LoggingConfig.SystemLogLevel": true, "RevisionId": true, "DryRun": true,
	"Layers": true, "Code.S3Bucket": true, "Code.S3Key": true, "Code.S3ObjectVersion": true, "S3Bucket": true, "S3Key": true, "S3ObjectVersion": true,
	"LayerName": true, "Content.ZipFile": true, "Content.S3Bucket": true, "Content.S3Key": true, "Content.S3ObjectVersion": true,
	"PackageType": true, "Code.ImageUri": true, "ImageUri": true, "ImageConfig.EntryPoint": true, "ImageConfig.Command": true, "ImageConfig.WorkingDirectory": true,
	"TenancyConfig.TenantIsolationMode": true, "FileSystemConfigs": true, "VpcConfig.SubnetIds": true, "VpcConfig.SecurityGroupIds": true,
	"UUID": true, "EventSourceArn": true, "Enabled": true, "BatchSize": true, "FilterCriteria.Filters": true, "ScalingConfig.MaximumConcurrency": true,
	"MaximumBatchingWindowInSeconds": true, "FunctionResponseTypes": true,
	"CompatibleArchitectures": true, "CompatibleRuntimes": true, "LicenseInfo": true,
}

// defaults are values that say what kiln does anyway; everything that is empty does,
// too, except where being there is already the wish.
var defaults = map[string]string{
	"TracingConfig.Mode": "PassThrough", "SnapStart.ApplyOn": "None",
	"Code.S3ObjectStorageMode": "COPY", "S3ObjectStorageMode": "COPY", "Content.S3ObjectStorageMode": "COPY",
}

// leaf is one member of a request that is no structure itself.
type leaf struct {
	path string
	set  func(request reflect.Value) // sets it to something that is no default
	zero func(request reflect.Value) // sets it to what says nothing, nil where there is none
}

// leaves lists the members of a structure and of the structures in it.
func leaves(t *testing.T, typ reflect.Type, path string, reach func(reflect.Value) reflect.Value) []leaf {
	t.Helper()
	var out []leaf
	for i := range typ.NumField() {
		f := typ.Field(i)
		name := path + f.Name
		at := func(v reflect.Value) reflect.Value { return reach(v).Field(i) }
		switch ft := f.Type; {
		case ft.Kind() == reflect.String:
			out = append(out, leaf{name, func(v reflect.Value) { at(v).SetString("x") }, nil})
		case ft == reflect.TypeFor[*time.Time]():
			out = append(out, leaf{name, func(v reflect.Value) {
				at(v).Set(reflect.ValueOf(&time.Time{}).Convert(ft))
				at(v).Elem().Set(reflect.ValueOf(time.Unix(1, 0)))
			}, nil})
		case ft.Kind() == reflect.Pointer && ft.Elem().Kind() == reflect.Struct:
			out = append(out, leaves(t, ft.Elem(), name+".", func(v reflect.Value) reflect.Value {
				p := at(v)
				if p.IsNil() {
					p.Set(reflect.New(ft.Elem()))
				}
				return p.Elem()
			})...)
		case ft.Kind() == reflect.Pointer:
			out = append(out, leaf{name, func(v reflect.Value) { at(v).Set(pointer(t, ft, true)) }, func(v reflect.Value) {
				p := pointer(t, ft, false)
				if d, ok := defaults[name]; ok {
					p.Elem().SetString(d)
				}
				at(v).Set(p)
			}})
		case ft.Kind() == reflect.Slice:
			out = append(out, leaf{name, func(v reflect.Value) { at(v).Set(reflect.MakeSlice(ft, 1, 1)) }, func(v reflect.Value) { at(v).Set(reflect.MakeSlice(ft, 0, 0)) }})
		case ft.Kind() == reflect.Map:
			out = append(out, leaf{name, func(v reflect.Value) {
				m := reflect.MakeMap(ft)
				element := reflect.New(ft.Elem()).Elem()
				if element.Kind() == reflect.String {
					element.SetString("v")
				}
				m.SetMapIndex(reflect.ValueOf("k"), element)
				at(v).Set(m)
			}, func(v reflect.Value) { at(v).Set(reflect.MakeMap(ft)) }})
		default:
			t.Fatalf("%s: the test does not know %v", name, ft)
		}
	}
	return out
}

// pointer makes a pointer to a value, other than the zero one or that.
func pointer(t *testing.T, typ reflect.Type, other bool) reflect.Value {
	t.Helper()
	p := reflect.New(typ.Elem())
	if !other {
		return p
	}
	switch typ.Elem().Kind() {
	case reflect.String:
		p.Elem().SetString("something else")
	case reflect.Int32, reflect.Int64:
		p.Elem().SetInt(7)
	case reflect.Float64:
		p.Elem().SetFloat(7)
	case reflect.Bool:
		p.Elem().SetBool(true)
	default:
		t.Fatalf("the test does not know %v", typ)
	}
	return p
}

// wishes are members whose being there is already more than kiln can do, or which the
// model does not allow to be empty.
var wishes = map[string]bool{
	"DurableConfig": true, "CapacityProviderConfig": true,
	"PublishTo":               true,
	"ProvisionedPollerConfig": true, "AmazonManagedKafkaEventSourceConfig": true, "SelfManagedKafkaEventSourceConfig": true, "DocumentDBEventSourceConfig": true,
	"MaximumRecordAgeInSeconds": true, "MaximumRetryAttempts": true, // -1 is their default
}

func isWish(path string) bool {
	first, _, _ := strings.Cut(path, ".")
	return wishes[path] || wishes[first]
}

// overTheModel holds the members of an input to obeyed; refused are those that only
// other inputs obey.
func overTheModel[T any](t *testing.T, refuse func(*T) error, refused ...string) {
	t.Helper()
	all := leaves(t, reflect.TypeFor[T](), "", func(v reflect.Value) reflect.Value { return v })
	if len(all) < 10 {
		t.Fatalf("only %d members", len(all))
	}
	for _, l := range all {
		var in T
		l.set(reflect.ValueOf(&in).Elem())
		err := refuse(&in)
		want := obeyed[l.path] && !slices.Contains(refused, l.path)
		if want != (err == nil) {
			t.Errorf("%T %s: refused with %v, obeyed is %v: a setting must be one of them", in, l.path, err, want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), lambda.InvalidParameterValueException+": ") {
			t.Errorf("%T %s: %v", in, l.path, err)
		}
		if l.zero == nil || isWish(l.path) {
			continue
		}
		var empty T
		l.zero(reflect.ValueOf(&empty).Elem())
		if err := refuse(&empty); err != nil {
			t.Errorf("%T %s in its empty or default form: %v", in, l.path, err)
		}
	}
}

func TestEveryMemberOfTheModelIsObeyedOrRefused(t *testing.T) {
	overTheModel(t, refuseCreate)
	overTheModel(t, refuseUpdate)
	overTheModel(t, refuseCode)
	overTheModel(t, refuseLayer)
	overTheModel(t, refuseCreateMapping, "KMSKeyArn", "LoggingConfig.SystemLogLevel")
	overTheModel(t, refuseUpdateMapping, "KMSKeyArn", "LoggingConfig.SystemLogLevel")
}

func TestARefusalNamesTheSetting(t *testing.T) {
	active, arn, yes := "Active", "arn:aws:lambda:eu-west-1::runtime:x", true
	for _, c := range []struct {
		err  error
		want string
	}{
		{refuseCreate(&lambda.CreateFunctionRequest{VpcConfig: &lambda.VpcConfig{Ipv6AllowedForDualStack: &yes}}), "kiln does not support VpcConfig with Ipv6AllowedForDualStack yet."},
		{refuseUpdate(&lambda.UpdateFunctionConfigurationRequest{FileSystemConfigs: []lambda.FileSystemConfig{{S3FilesConfig: &lambda.S3FilesConfig{}}}}), "kiln does not support FileSystemConfigs with S3FilesConfig yet."},
		{refuseCreate(&lambda.CreateFunctionRequest{Runtime: &arn}), "kiln does not support Runtime as an ARN yet."},
		{refuseUpdate(&lambda.UpdateFunctionConfigurationRequest{TracingConfig: &lambda.TracingConfig{Mode: &active}}), "kiln does not support TracingConfig with Mode Active yet."},
		{refuseUpdate(&lambda.UpdateFunctionConfigurationRequest{CapacityProviderConfig: &lambda.CapacityProviderConfig{}}), "CapacityProviderConfig isn't supported for Lambda Default functions."},
	} {
		if got := fmt.Sprint(c.err); got != lambda.InvalidParameterValueException+": "+c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestEveryCodeOfKilnHasItsExceptionAndItsStatus(t *testing.T) {
	codes := []kiln.Code{kiln.Invalid, kiln.NotFound, kiln.Denied, kiln.Conflict, kiln.Precondition, kiln.BadContent, kiln.TooLarge, kiln.Recursion, kiln.Throttled,
		kiln.Quota, kiln.Unsupported, kiln.Unavailable, kiln.BadPackage, kiln.BadRuntime, kiln.BadMount, kiln.BadNetwork, kiln.Internal}
	for _, code := range codes {
		if exceptions[code] == "" || statuses[code] == 0 {
			t.Errorf("%s: exception %q, status %d", code, exceptions[code], statuses[code])
		}
	}
	if len(exceptions) != len(codes) || len(statuses) != len(codes) {
		t.Errorf("%d exceptions and %d statuses", len(exceptions), len(statuses))
	}
}

// implemented are the operations of this step.
var implemented = strings.Fields(`CreateFunction GetFunction GetFunctionConfiguration ListFunctions UpdateFunctionCode UpdateFunctionConfiguration
	DeleteFunction PublishVersion ListVersionsByFunction CreateAlias GetAlias ListAliases UpdateAlias DeleteAlias
	PutFunctionConcurrency GetFunctionConcurrency DeleteFunctionConcurrency Invoke
	PublishLayerVersion GetLayerVersion GetLayerVersionByArn DeleteLayerVersion ListLayers ListLayerVersions
	AddLayerVersionPermission RemoveLayerVersionPermission GetLayerVersionPolicy
	AddPermission RemovePermission GetPolicy PutResourcePolicy GetResourcePolicy DeleteResourcePolicy
	PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig GetFunctionEventInvokeConfig DeleteFunctionEventInvokeConfig ListFunctionEventInvokeConfigs
	PutRuntimeManagementConfig GetRuntimeManagementConfig
	PutFunctionRecursionConfig GetFunctionRecursionConfig TagResource UntagResource ListTags GetAccountSettings InvokeAsync GetFunctionCodeSigningConfig
	PutProvisionedConcurrencyConfig GetProvisionedConcurrencyConfig DeleteProvisionedConcurrencyConfig ListProvisionedConcurrencyConfigs
	CreateEventSourceMapping GetEventSourceMapping ListEventSourceMappings UpdateEventSourceMapping DeleteEventSourceMapping
	InvokeWithResponseStream CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig DeleteFunctionUrlConfig ListFunctionUrlConfigs`)

func TestEveryOtherOperationAnswersThatItIsNotThereYet(t *testing.T) {
	here := map[string]bool{}
	for _, name := range implemented {
		here[name] = true
	}
	s := reflect.ValueOf(service{})
	typ := reflect.TypeFor[lambda.Service]()
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		if here[m.Name] {
			delete(here, m.Name)
			continue
		}
		args := []reflect.Value{reflect.ValueOf(context.Background())}
		for j := 1; j < m.Type.NumIn(); j++ {
			args = append(args, reflect.New(m.Type.In(j).Elem()))
		}
		results := s.MethodByName(m.Name).Call(args)
		err, _ := results[len(results)-1].Interface().(error)
		if want := lambda.NotImplementedException + ": kiln does not implement " + m.Name + " yet"; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", m.Name, err, want)
		}
	}
	if typ.NumMethod() != 88 || len(here) != 0 {
		t.Errorf("%d operations in all; not in the model: %v", typ.NumMethod(), here)
	}
}

func FuzzAReferenceIsTheCallersOwnOrRefused(f *testing.F) {
	home := kiln.Scope{Account: "111111111111", Region: "eu-west-1"}
	for _, s := range []string{"f", "f:live", "111111111111:function:f", "function:f", "arn:aws:lambda:eu-west-1:111111111111:function:f:$LATEST",
		"arn:aws:lambda:eu-west-1:222222222222:function:f", "../../etc", "f:", ":", "a:b:c", "arn:aws:lambda:eu-west-1:111111111111:function:"} {
		f.Add(s, "live")
	}
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		c := &call{Identity: auth.Identity{Scope: home}}
		for _, q := range []*string{nil, &qualifier} {
			id, got, err := c.reference(name, q)
			if err != nil {
				if id != (kiln.FunctionID{}) || got != "" {
					t.Errorf("%q: %v beside %v", name, id, err)
				}
				continue
			}
			if id.Scope != home || !kiln.IsName(id.Name) || strings.Contains(string(got), ":") && q == nil {
				t.Errorf("%q gave %v %q", name, id, got)
			}
			if q != nil && string(got) != qualifier {
				t.Errorf("%q with %q gave %q", name, qualifier, got)
			}
		}
	})
}
