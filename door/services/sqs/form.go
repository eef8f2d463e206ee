package sqs

import (
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The older protocol writes the members of a request as the fields of a form: lists as
// Name.1, Name.2, maps as Name.1.Name and Name.1.Value. Members have the tag query where
// their name is another there; "Tag,Key" is a map whose keys stand at Key.

// most is how many members of a list are read; requests with more are refused by what
// reads them.
const most = 100

// readForm reads a form into a structure.
func readForm(form url.Values, into any) error {
	return readStruct(form, "", reflect.ValueOf(into).Elem())
}

func readStruct(form url.Values, prefix string, v reflect.Value) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, key, _ := strings.Cut(f.Tag.Get("query"), ",")
		if name == "" {
			name = f.Name
		}
		if err := readMember(form, prefix+name, key, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func readMember(form url.Values, name, key string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if !form.Has(name) {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return readMember(form, name, key, v.Elem())
	case reflect.String:
		v.SetString(form.Get(name))
	case reflect.Int:
		n, err := strconv.Atoi(form.Get(name))
		if err != nil {
			return invalid("Value " + clip(form.Get(name)) + " for parameter " + name + " is invalid. Reason: Must be an integer.")
		}
		v.SetInt(int64(n))
	case reflect.Struct:
		return readStruct(form, name+".", v)
	case reflect.Map:
		if key == "" {
			key = "Name"
		}
		return readMap(form, name, key, v)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return readBytes(form, name, v)
		}
		return readList(form, name, v)
	}
	return nil
}

func readBytes(form url.Values, name string, v reflect.Value) error {
	if !form.Has(name) {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(form.Get(name))
	if err != nil {
		return invalid("Value for parameter " + name + " is invalid. Reason: Must be base64.")
	}
	v.SetBytes(b)
	return nil
}

func readList(form url.Values, name string, v reflect.Value) error {
	for i := 1; i <= most; i++ {
		at := name + "." + strconv.Itoa(i)
		if !has(form, at) {
			return nil
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := readMember(form, at, "", e); err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
	}
	return nil
}

func readMap(form url.Values, name, key string, v reflect.Value) error {
	for i := 1; i <= most; i++ {
		at := name + "." + strconv.Itoa(i)
		if !form.Has(at + "." + key) {
			return nil
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := readMember(form, at+".Value", "", e); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(form.Get(at+"."+key)), e)
	}
	return nil
}

// has reports whether a form has a field, or one below it.
func has(form url.Values, name string) bool {
	if form.Has(name) {
		return true
	}
	for k := range form {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

// pairs is a map that the older protocol writes as elements with Name and Value.
type pairs map[string]string

// MarshalXML writes an element for each pair, in the order of their names.
func (p pairs) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return elements(e, start, p, "Name")
}

// tags is a map that the older protocol writes as elements with Key and Value.
type tags map[string]string

// MarshalXML writes an element for each tag, in the order of their keys.
func (t tags) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return elements(e, start, t, "Key")
}

// MarshalXML writes an element for each attribute, in the order of their names.
func (a attributes) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return elements(e, start, a, "Name")
}

// elements writes a map, flattened.
func elements[V any](e *xml.Encoder, start xml.StartElement, m map[string]V, key string) error {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if err := e.EncodeToken(start); err != nil {
			return err
		}
		if err := e.EncodeElement(n, xml.StartElement{Name: xml.Name{Local: key}}); err != nil {
			return err
		}
		if err := e.EncodeElement(m[n], xml.StartElement{Name: xml.Name{Local: "Value"}}); err != nil {
			return err
		}
		if err := e.EncodeToken(start.End()); err != nil {
			return err
		}
	}
	return nil
}
