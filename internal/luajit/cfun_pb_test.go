package luajit

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand"
	"os"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// pbFiles is a schema that has every kind of field.
var pbFiles = map[string]string{
	"three.proto": `syntax = "proto3"; package t;
		enum Color { RED = 0; GREEN = 1; BLUE = -2; }
		message Phone { string name = 1; int64 number = 2; }
		message Person { string name = 1; int32 age = 2; string address = 3; repeated Phone contacts = 4; }
		message All {
			double f1 = 1; float f2 = 2; int64 f3 = 3; uint64 f4 = 4; int32 f5 = 5; fixed64 f6 = 6; fixed32 f7 = 7;
			bool f8 = 8; string f9 = 9; bytes f12 = 12; uint32 f13 = 13; Color f14 = 14; sfixed32 f15 = 15;
			sfixed64 f16 = 16; sint32 f17 = 17; sint64 f18 = 18; All sub = 19;
			repeated double r1 = 21; repeated float r2 = 22; repeated int64 r3 = 23; repeated uint64 r4 = 24;
			repeated int32 r5 = 25; repeated fixed64 r6 = 26; repeated fixed32 r7 = 27; repeated bool r8 = 28;
			repeated string r9 = 29; repeated bytes r12 = 32; repeated uint32 r13 = 33; repeated Color r14 = 34;
			repeated sfixed32 r15 = 35; repeated sfixed64 r16 = 36; repeated sint32 r17 = 37; repeated sint64 r18 = 38;
			repeated All subs = 39; repeated int32 unpacked = 40 [packed = false];
			map<string, int32> m1 = 41; map<int64, string> m2 = 42; map<bool, Color> m3 = 43; map<uint32, Phone> m4 = 44;
			map<sfixed64, double> m5 = 45; map<sint32, bytes> m6 = 46;
			oneof choice { string c1 = 51; int32 c2 = 52; Phone c3 = 53; Color c4 = 54; }
			optional int32 o1 = 61; optional string o2 = 62; optional bool o3 = 63; optional Color o4 = 64;
			int32 far = 100000; string farther = 536870911;
		}`,
	"two.proto": `syntax = "proto2"; package t2;
		enum Kind { A = 1; B = 2; }
		message Two {
			required int32 req = 1; optional string s = 2 [default = "dflt"]; optional Kind k = 3 [default = B];
			repeated int32 loose = 4; repeated int32 tight = 5 [packed = true]; optional group Box = 6 { optional int32 n = 1; optional Two two = 2; }
			repeated group Row = 7 { optional string cell = 1; } optional bool b = 8 [default = true]; optional double d = 9 [default = 0.125];
			optional uint64 big = 10 [default = 18446744073709551615]; extensions 100 to 199;
		}
		extend Two { optional string ext = 100; repeated sint32 exts = 101; }
		message Holder { extend Two { optional Holder held = 102; } optional bytes x = 1; }`,
	"edition.proto": `edition = "2023"; package t3;
		message Ed { string s = 1; int32 implicit = 2 [features.field_presence = IMPLICIT]; repeated int32 expanded = 3 [features.repeated_field_encoding = EXPANDED];
			Ed del = 4 [features.message_encoding = DELIMITED]; string raw = 5 [features.utf8_validation = NONE]; repeated uint32 packed = 6; }`,
}

// pbCompile gives the descriptors of sources, as a set and as a registry.
func pbCompile(t testing.TB, files map[string]string) (set []byte, find func(name string) protoreflect.MessageDescriptor) {
	t.Helper()
	var names []string
	for n := range files {
		names = append(names, n)
	}
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(files)})}
	linked, err := c.Compile(context.Background(), names...)
	if err != nil {
		t.Fatal(err)
	}
	fds := &descriptorpb.FileDescriptorSet{}
	for _, f := range linked {
		fds.File = append(fds.File, protodesc.ToFileDescriptorProto(f))
	}
	set, err = proto.Marshal(fds)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := protodesc.NewFiles(fds)
	if err != nil {
		t.Fatal(err)
	}
	return set, func(name string) protoreflect.MessageDescriptor {
		d, err := reg.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			t.Fatal(err)
		}
		return d.(protoreflect.MessageDescriptor)
	}
}

const pbPrelude = `local pb = require "pb" assert(pb.load(set)) pb.option "encode_order"
	local function show(v) if type(v) ~= "table" then return type(v) == "string" and string.format("%q", v) or tostring(v) end
		local k, l = {}, {} for x in pairs(v) do k[#k + 1] = x end table.sort(k, function(a, b) return tostring(a) < tostring(b) end)
		for _, x in ipairs(k) do l[#l + 1] = tostring(x) .. "=" .. show(v[x]) end return "{" .. table.concat(l, ",") .. "}" end
	local function hex(...) return pb.tohex(pb.encode(...)) end `

func pbCases(t *testing.T, cases []evalCase) {
	set, _ := pbCompile(t, pbFiles)
	evalAll(t, "local set = "+quote(string(set))+" "+pbPrelude, cases)
}

func TestPBEncode(t *testing.T) {
	pbCases(t, []evalCase{
		{`return hex("t.Person", {name = "ilse", age = 18, contacts = {{name = "al", number = 12312341234}, {}}})`, "0A 04 69 6C 73 65 10 12 22 0A 0A 02 61 6C 10 F2 D5 FD EE 2D 22 00"},
		{`return hex(".t.All", {f5 = -1, f14 = "BLUE", f17 = -1, f8 = true, o1 = 0, o2 = "", f9 = ""})`, "28 FF FF FF FF FF FF FF FF FF 01 40 01 70 FE FF FF FF FF FF FF FF FF 01 88 01 01 E8 03 00 F2 03 00"},
		{`return hex("t.All", {r5 = {1, 2, 300}, unpacked = {1, 2}, r9 = {"a"}})`, "CA 01 04 01 02 AC 02 EA 01 01 61 C0 02 01 C0 02 02"},
		{`return hex("t.All", {m1 = {a = 1}})`, "CA 02 05 0A 01 61 10 01"},
		{`return hex("t.All", {f3 = "#-5", f4 = "0xff", f16 = "7"})`, "18 FB FF FF FF FF FF FF FF FF 01 20 FF 01 81 01 07 00 00 00 00 00 00 00"},
		{`return hex("t.All", {f3 = -5LL, f4 = 18446744073709551615ULL})`, "18 FB FF FF FF FF FF FF FF FF 01 20 FF FF FF FF FF FF FF FF FF 01"},
		{`return hex("t2.Two", {req = 0, box = {n = 1}, ext = "e", exts = {-1}})`, "08 00 33 08 01 34 A2 06 01 65 A8 06 01"},
		{`return hex("t3.Ed", {s = "", implicit = 0, expanded = {1, 2}, del = {}, packed = {1}})`, "0A 00 18 01 18 02 23 24 32 01 01"},
		{`return hex("t.All", {f5 = cjson and 1, nosuch = 1, [1] = 2})`, ""},
		{`return hex("t.Person", {name = require("cjson").null})`, ""},
		{`pb.option "encode_default_values" return hex("t.Person", {name = "", age = 0, contacts = {}})`, "0A 00 10 00"},
		{`return pb.encode("t.Nope", {})`, "error: bad argument #1 to '?' (type 't.Nope' does not exists)"},
		{`return pb.encode("t.All", {f5 = {}})`, "error: bad argument #2 to '?' (number/'#number' expected for field 'f5', got table)"},
		{`return pb.encode("t.All", {f9 = 1})`, "error: bad argument #2 to '?' (string expected for field 'f9', got number)"},
		{`return pb.encode("t.All", {sub = 1})`, "error: bad argument #2 to '?' (table expected at field 'sub', got number)"},
		{`return pb.encode("t.All", {f14 = "PINK"})`, "error: bad argument #2 to '?' (can not encode unknown enum 'PINK' at field 'f14')"},
		{`return pb.encode("t.All", {f3 = 1e30})`, "error: bad argument #2 to '?' (number has no integer representation)"},
		{`local t = {} for i = 1, 200 do t = {sub = t} end return pb.encode("t.All", t)`, "error: bad argument #2 to '?' (message too many levels)"},
		{`local b = require("pb.buffer").new("x") pb.encode("t.Person", {age = 1}, b) return pb.tohex(b)`, "78 10 01"},
		{`return pb.tohex(pb.pack("t.Person", "n", 5))`, "0A 01 6E 10 05"},
	})
}

func TestPBDecode(t *testing.T) {
	pbCases(t, []evalCase{
		{`return show(pb.decode("t.Person", pb.encode("t.Person", {name = "x", contacts = {{number = 2^40}}})))`, `{address="",age=0,contacts={1={name="",number=1099511627776}},name="x"}`},
		{`return show(pb.decode("t.Person"))`, `{address="",age=0,contacts={},name=""}`},
		{`pb.option "no_default_values" return show(pb.decode("t.Person", "\16\1"))`, `{age=1}`},
		{`pb.option "use_default_metatable" local p = pb.decode("t.Person", "\16\1") return show(p) .. p.name .. #p.contacts .. tostring(getmetatable(p) == pb.defaults "t.Person")`, `{age=1,contacts={}}0true`},
		{`pb.option "enum_as_value" return pb.decode("t.All", "\112\1").f14`, `1`},
		{`return pb.decode("t.All", "\112\1").f14 .. pb.decode("t.All", "\112\9").f14 .. pb.decode("t.All").f14`, `GREEN9RED`},
		{`pb.option "int64_as_string" local m = pb.decode("t.All", pb.encode("t.All", {f3 = "#-9223372036854775808", f4 = "#18446744073709551615", f6 = 7})) return m.f3 .. m.f4 .. type(m.f6)`, `#-9223372036854775808#18446744073709551615number`},
		{`pb.option "int64_as_hexstring" return pb.decode("t.All", pb.encode("t.All", {f4 = "#18446744073709551615"})).f4`, `#0xFFFFFFFFFFFFFFFF`},
		{`local m = pb.decode("t.All", pb.encode("t.All", {c1 = "a"}) .. pb.encode("t.All", {c2 = 5})) return tostring(m.c1) .. m.c2 .. m.choice`, `nil5c2`},
		{`local m = pb.decode("t.All", pb.encode("t.All", {sub = {c4 = "RED"}}) .. pb.encode("t.All", {sub = {c2 = 5}})) return tostring(m.sub.c4) .. m.sub.c2 .. m.sub.choice`, `nil5c2`},
		{`local m = pb.decode("t.All", pb.encode("t.All", {sub = {f5 = 1}}) .. pb.encode("t.All", {sub = {f9 = "s"}})) return m.sub.f5 .. m.sub.f9`, `1s`},
		{`local m = pb.decode("t.All", pb.encode("t.All", {m1 = {a = 1, b = 2}, m2 = {[5] = "x"}, m3 = {[true] = "GREEN"}, m4 = {[7] = {name = "n"}}})) return show({m.m1, m.m2, m.m3, m.m4})`, `{1={a=1,b=2},2={5="x"},3={true="GREEN"},4={7={name="n",number=0}}}`},
		{`return show(pb.decode("t.All", "\202\2\0").m1)`, `{=0}`},
		{`local m = pb.decode("t2.Two", pb.encode("t2.Two", {box = {two = {box = {n = 3}}}, row = {{cell = "a"}, {cell = "b"}}})) return m.box.two.box.n .. m.row[2].cell .. tostring(m.s) .. tostring(m.loose)`, `3bnilnil`},
		{`pb.option "use_default_values" local m = pb.decode "t2.Two" return show(m)`, `{b=true,big=1.844674407371e+19,d=0.125,k="B",s="dflt"}`},
		{`local t = {name = "old", keep = 1} pb.decode("t.Person", "\16\1", t) return show(t)`, `{age=1,keep=1,name="old"}`},
		{`return show(pb.decode("t.All", "\200\1\5\202\1\2\6\7").r5)`, `{1=5,2=6,3=7}`},
		{`return select("#", pb.unpack("\10\1n\16\5", "t.Person"))`, "error: t:5: bad argument #1 to 'unpack' (type '\n\x01n\x10\x05' does not exists)"},
		{`return show({pb.unpack("t.Person", "\10\1n\16\5")})`, `{1="n",2=5,3="",4={}}`},
		{`return pb.decode("t.Person", "\8\1")`, "error: type mismatch for field 'name' at offset 1, bytes expected for type string, got varint"},
		{`return pb.decode("t.Person", "\10\5a")`, "error: unfinished bytes (len 5 at offset 3)"},
		{`return pb.decode("t.Person", "\128")`, "error: invalid tag at offset 1"},
		{`return pb.decode("t.Person", "\0")`, "error: invalid tag at offset 1"},
		{`return pb.decode("t.Person", "\15\0")`, "error: type mismatch for field 'name' at offset 1, bytes expected for type string, got unknown"},
		{`return pb.decode("t.All", ("\154\1\127"):rep(300))`, "error: unfinished bytes (len 127 at offset 7)"},
		{`local s = "" for i = 1, 200 do s = "\154\1" .. require("pb.buffer").pack("s", s) end return pb.decode("t.All", s)`, "error: message too many levels"},
		{`pb.option "strict" return pb.decode("t.Person", "\10\1\200")`, "error: string field 'name' contains invalid UTF-8"},
		{`return pb.decode("t.Person", "\10\1\200").name == "\200"`, "true"},
		{`pb.option "strict" return pb.encode("t.Person", {age = 2^40})`, "error: bad argument #2 to '?' (number out of range at field 'age')"},
		{`pb.option "strict" return pb.encode("t.Person", {age = 1.5})`, "error: bad argument #2 to '?' (number has no integer representation at field 'age')"},
		{`return #pb.encode("t.Person", {age = 1.5})`, "2"},
		{`local m = pb.decode("t.All", pb.encode("t.All", {f3 = 2^63, f4 = 2^64, f6 = 2^64})) return m.f3 == 2^63 and m.f4 == 2^64 and m.f6 == 2^64`, "true"},
		{`pb.option "strict" return pb.encode("t.All", {f4 = -1})`, "error: bad argument #2 to '?' (number out of range at field 'f4')"},
		{`pb.option "strict" return show(pb.decode("t.Person", "\8\1"))`, `{address="",age=0,contacts={},name=""}`},
	})
}

func TestPBModule(t *testing.T) {
	pbCases(t, []evalCase{
		{`local l = {} for n, b, k in pb.types() do l[#l + 1] = n .. ":" .. b .. ":" .. k end table.sort(l) return l[1] .. " " .. #l`, ".t.All.M1Entry:M1Entry:map 16"},
		{`return table.concat({pb.type "t.Color"}, " ")`, ".t.Color Color enum"},
		{`return table.concat({pb.type "t.All.M1Entry"}, " ")`, ".t.All.M1Entry M1Entry map"},
		{`return select("#", pb.type "t.Nope")`, "0"},
		{`return show({pb.field("t.All", "c2")})`, `{1="c2",2=52,3="int32",5="optional",6="choice",7=0}`},
		{`return show({pb.field("t.All", 25)}) .. show({pb.field("t2.Two", "k")})`, `{1="r5",2=25,3="int32",5="packed"}{1="k",2=3,3=".t2.Kind",4="B",5="optional"}`},
		{`local l = {} for n, i in pb.fields "t.Person" do l[#l + 1] = n .. i end return table.concat(l, " ")`, "name1 age2 address3 contacts4"},
		{`return pb.enum("t.Color", "GREEN") .. pb.enum("t.Color", -2) .. select("#", pb.enum("t.Color", 7)) .. select("#", pb.enum("t.Color", "X"))`, "1BLUE00"},
		{`local d = pb.defaults "t.Person" return d.name .. d.age .. tostring(d.__index == d)`, "0true"},
		{`pb.defaults("t.Person", {name = "dflt"}) pb.option "use_default_metatable" return tostring(getmetatable(pb.decode "t.Person").name)`, "dflt"},
		{`pb.defaults("*array", {mark = 1}) return getmetatable(pb.decode("t.Person").contacts).mark`, "1"},
		{`pb.hook("t.Phone", function(m) return m.name end) pb.option "enable_hooks" return pb.decode("t.Person", pb.encode("t.Person", {contacts = {{name = "a"}}})).contacts[1]`, "a"},
		{`pb.hook("t.Phone", error) pb.option "enable_hooks" return (pcall(pb.decode, "t.Person", pb.encode("t.Person", {contacts = {{}}})))`, "false"},
		{`pb.encode_hook("t.Phone", function(s) return {name = s} end) pb.option "enable_enchooks" pb.option "no_default_values" return hex("t.Person", {contacts = {"ab"}})`, "22 04 0A 02 61 62"},
		{`pb.clear "t.Phone" return tostring((pb.type "t.Phone")) .. tostring(pb.decode("t.Person", "\34\0").contacts[1])`, "nilnil"},
		{`pb.clear() return tostring((pb.type "t.Person"))`, "nil"},
		{`local old = pb.state(nil) local a = tostring((pb.type "t.Person")) pb.state(old) return a .. pb.type "t.Person"`, "nil.t.Person"},
		{`return show({pb.load("junk")})`, "{1=false,2=1}"},
		{`return show({pb.load("")}) .. show({pb.loadfile "/no/such/file"}):sub(1, 16)`, `{1=true,2=1}{2="/no/such/fil`},
		{`return pb.option "nonsense"`, "error: bad argument #1 to '?' (invalid option 'nonsense')"},
		{`return pb.tohex("\1\171") .. pb.fromhex("31 32"):upper() .. pb.result("abc", 2)`, "01 AB12bc"},
		{`return table.concat({pb.typefmt "int32", pb.typefmt "i"}, " ")`, "i int32 5"},
		{`local b = require("pb.buffer").new() return b:pack("vsd(vv)", 300, "ab", 1, 1, 2):tohex() .. #b`, "AC 02 02 61 62 01 00 00 00 02 01 0212"},
		{`local s = require("pb.slice").new("\172\2\2ab\2\1\2") local a, b = s:unpack "vs" s:enter() local c, d = s:unpack "vv" return a .. b .. c .. d .. #s .. tostring(s:unpack "v") .. select(2, s:leave())`, "300ab120nil1"},
		{`local s = require("pb.slice").new("\1\2") return table.concat({s:unpack("v@*v", 1)}, " ")`, "1 2 1"},
		{`local c = require "pb.conv" return c.encode_sint32(-1) .. c.decode_sint32(1) .. c.decode_float(c.encode_float(0.5)) .. c.decode_double(c.encode_double(-2)) .. c.encode_int32(-1)`, "1-10.5-21.844674407371e+19"},
		{`local st = require("pb.codec").new() assert(st:load(set)) local e, d = st:encoder "t.Person", st:decoder "t.Person" return d(e{name = "x"}).name .. select(2, e{age = "x"}) .. select(2, d "\8") .. select(2, st:encoder "t.No")`,
			"xnumber/'#number' expected for field 'age', got stringinvalid value of field 1 at offset 1type 't.No' does not exists"},
		{`local e = require("pb.codec").new() e:load(set) return select(2, e:encoder "t.Person" {name = "\255"})`, "string field 'name' contains invalid UTF-8"},
	})
}

// A message made by chance comes back equal after it went through Lua.
func TestPBRandom(t *testing.T) {
	set, find := pbCompile(t, pbFiles)
	s := newState(t)
	again := pbAgain(t, s, set)
	r := rand.New(rand.NewSource(5))
	for i := range 3000 {
		name := []string{"t.All", "t2.Two", "t3.Ed"}[i%3]
		m := dynamicpb.NewMessage(find(name))
		fillMessage(r, m, 0)
		wire, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		out, err := again(name, wire)
		if err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		back := dynamicpb.NewMessage(m.Descriptor())
		if err := (proto.UnmarshalOptions{AllowPartial: true, Resolver: noTypes{}}).Unmarshal(out, back); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(m, back) {
			t.Fatalf("%s:\n in %v\nout %v", name, m, back)
		}
	}
}

// noTypes makes extensions unknown fields.
type noTypes struct{}

func (noTypes) FindExtensionByName(protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}
func (noTypes) FindExtensionByNumber(protoreflect.FullName, protoreflect.FieldNumber) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}

// pbAgain returns a function that decodes a message in Lua and encodes it again.
func pbAgain(t testing.TB, s *State, set []byte) func(name string, wire []byte) ([]byte, error) {
	t.Helper()
	err := s.DoString(`local st = require("pb.codec").new() assert(st:load(`+quote(string(set))+`)) st:option "int64_as_string"
		function again(name, wire) local m, err = st:decoder(name)(wire) if not m then return "E" .. err end
			local b, err = st:encoder(name)(m) if not b then return "F" .. err end return "K" .. b end`, "=t")
	if err != nil {
		t.Fatal(err)
	}
	return func(name string, wire []byte) ([]byte, error) {
		got, err := s.Eval("return again("+quote(name)+","+quote(string(wire))+")", "=t")
		if err != nil {
			return nil, err
		}
		if got[0] != 'K' {
			return nil, fmt.Errorf("%s", got)
		}
		return []byte(got[1:]), nil
	}
}

func fillMessage(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if r.Intn(3) > 0 || depth > 3 && f.Message() != nil {
			continue
		}
		switch {
		case f.IsMap():
			v := m.Mutable(f).Map()
			for range r.Intn(4) {
				val := v.NewValue()
				if f.MapValue().Message() != nil {
					fillMessage(r, val.Message(), depth+1)
				} else {
					val = randomValue(r, f.MapValue())
				}
				v.Set(randomValue(r, f.MapKey()).MapKey(), val)
			}
		case f.IsList():
			l := m.Mutable(f).List()
			for range r.Intn(4) {
				if f.Message() != nil {
					e := l.NewElement()
					fillMessage(r, e.Message(), depth+1)
					l.Append(e)
				} else {
					l.Append(randomValue(r, f))
				}
			}
		case f.Message() != nil:
			fillMessage(r, m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, randomValue(r, f))
		}
	}
}

func randomValue(r *rand.Rand, f protoreflect.FieldDescriptor) protoreflect.Value {
	n := r.Uint64() >> r.Intn(64)
	if r.Intn(4) == 0 {
		n = 0
	}
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n&1 == 1)
	case protoreflect.EnumKind:
		v := f.Enum().Values()
		return protoreflect.ValueOfEnum(v.Get(int(n % uint64(v.Len()))).Number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(n)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(math.Float32frombits(uint32(n)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(math.Float64frombits(n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(fmt.Sprint(n)))
	}
	return protoreflect.ValueOfString(strings.Repeat("ü", int(n%5)) + fmt.Sprint(n%1000))
}

// Whatever the bytes are, C takes what the Go library takes, and finds the same in them.
func FuzzPBDecode(f *testing.F) {
	set, find := pbCompile(f, pbFiles)
	desc := map[string]protoreflect.MessageDescriptor{}
	names := []string{"t.All", "t2.Two", "t3.Ed", "t.Person"}
	r := rand.New(rand.NewSource(7))
	for i, n := range names {
		desc[n] = find(n)
		for range 20 {
			m := dynamicpb.NewMessage(desc[n])
			fillMessage(r, m, 0)
			b, _ := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
			f.Add(uint8(i), b)
			if len(b) > 0 {
				c := bytes.Clone(b)
				c[r.Intn(len(c))] ^= byte(1 << r.Intn(8))
				f.Add(uint8(i), c)
				f.Add(uint8(i), b[:r.Intn(len(b))])
			}
		}
	}
	s := newState(f)
	again := pbAgain(f, s, set)
	f.Fuzz(func(t *testing.T, which uint8, wire []byte) {
		name := names[int(which)%len(names)]
		m := dynamicpb.NewMessage(desc[name])
		goErr, ok := goUnmarshal(wire, m)
		if !ok {
			return
		}
		out, err := again(name, wire)
		if (goErr == nil) != (err == nil) {
			if goErr == nil && strings.Contains(err.Error(), "Efield") || extensionIn(wire, desc[name]) {
				return
			}
			t.Fatalf("%s %q: Go says %v, Lua %v", name, wire, goErr, err)
		}
		if err != nil {
			return
		}
		back := dynamicpb.NewMessage(desc[name])
		if err := (proto.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true, Resolver: noTypes{}}).Unmarshal(out, back); err != nil {
			t.Fatalf("%s %q: %v", name, wire, err)
		}
		if !proto.Equal(m, back) {
			t.Fatalf("%s %q:\n Go %v\nLua %v", name, wire, m, back)
		}
	})
}

// goUnmarshal is proto.Unmarshal; ok is false for input on which it panics (a group for the key of a map).
func goUnmarshal(wire []byte, m proto.Message) (err error, ok bool) {
	defer func() { ok = recover() == nil }()
	return proto.UnmarshalOptions{AllowPartial: true, DiscardUnknown: true, RecursionLimit: 100, Resolver: noTypes{}}.Unmarshal(wire, m), true
}

// extensionIn says that the message has extensions, whose contents only Lua looks at here.
func extensionIn(_ []byte, d protoreflect.MessageDescriptor) bool { return d.FullName() == "t2.Two" }

// FuzzPBLoad loads junk for descriptors, and uses what it made.
func FuzzPBLoad(f *testing.F) {
	set, _ := pbCompile(f, pbFiles)
	f.Add(set)
	for i := 1; i < len(set); i += 97 {
		c := bytes.Clone(set)
		c[i] ^= 0x15
		f.Add(c)
	}
	s := newState(f)
	err := s.DoString(`function try(set) local pb = require "pb" pb.state(nil) pb.load(set)
		for name, _, kind in pb.types() do
			if kind ~= "enum" then pcall(pb.decode, name, "\8\1\18\2\8\1\26\0\34\1a") pcall(pb.encode, name, {a = 1, name = "x", sub = {}, f5 = 1, r5 = {1}, m1 = {a = 1}}) end
			for f in pb.fields(name) do pb.field(name, f) end
		end end`, "=t")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, set []byte) {
		if err := s.DoString("try("+quote(string(set))+")", "=t"); err != nil {
			t.Fatalf("%q: %v", set, err)
		}
	})
}

// BenchmarkPB measures a message with two nested ones, beside the C original where PB_REF is its library.
func BenchmarkPB(b *testing.B) {
	set, _ := pbCompile(b, pbFiles)
	libs := []string{`require "pb"`}
	if ref := os.Getenv("PB_REF"); ref != "" {
		libs = append(libs, fmt.Sprintf("assert(package.loadlib(%q, 'luaopen_pb'))()", ref))
	}
	const msg = `{name = "ilse", age = 18, address = "12 Main Street", contacts = {{name = "alice", number = 12312341234}, {name = "bob", number = 45645674567}}}`
	for i, lib := range libs {
		for _, op := range []string{"pb.encode('t.Person', v)", "pb.decode('t.Person', w)", "pb.decode('t.All', x)", "pb.encode('t.All', y)"} {
			b.Run(fmt.Sprintf("%s/%d", op[:len(op)-1], i), func(b *testing.B) {
				s := newState(b)
				err := s.DoString(fmt.Sprintf(`local pb = %s assert(pb.load(%s)) local v = %s local w = pb.encode('t.Person', v)
					local y = {f5 = 1, f9 = "hello", r5 = {1, 2, 3, 4, 5, 6, 7, 8}, sub = {f1 = 1.5, r9 = {"a", "b", "c"}}, m1 = {a = 1, b = 2}} local x = pb.encode('t.All', y)
					for _ = 1, %d do %s end`, lib, quote(string(set)), msg, b.N, op), "=t")
				if err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
