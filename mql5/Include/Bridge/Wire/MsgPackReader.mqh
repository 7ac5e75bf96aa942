//+------------------------------------------------------------------+
//|                                                MsgPackReader.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Reads the fields of one msgpack body. See MsgPack.mqh for the rules.
// May touch: Bytes.mqh. No files, sockets, orders.

#ifndef BRIDGE_WIRE_MSGPACKREADER_MQH
#define BRIDGE_WIRE_MSGPACKREADER_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/MsgPackTokens.mqh>

//+------------------------------------------------------------------+
//| Reads the fields of one body, in order.                          |
//+------------------------------------------------------------------+
class CMsgPackReader : public CMsgPackTokens
  {
public:
                     CMsgPackReader(void) {}
   bool              Failed(void) const { return(m_problem!=""); }
   string            Problem(void) const { return(m_problem); }
   void              Fail(const string name,const string what);
   //--- fields
   bool              Nil(void);                           // takes a nil when one stands here
   uint              U8(const string name);
   uint              U16(const string name);
   uint              U32(const string name);
   ulong             U64(const string name);
   int               I16(const string name);
   int               I32(const string name);
   long              I64(const string name);
   double            F64(const string name);
   bool              Bool(const string name);
   string            Text(const int limit,const string name);
   void              Bin(uchar &out[],const int size,const bool exact,const string name);
   void              Map(uchar &out[],const int entries,const int depth,const string name);
   //--- structures: BeginArray returns how many elements stand behind the known fields, EndArray
   //--- passes over them; Array returns the number of elements, EndArray(0) ends it
   int               BeginArray(const int fields,const string name);
   int               Array(const int limit,const string name);
   void              EndArray(const int extra);
   string            Enter(const string name);
   void              Leave(const string outer);
   bool              Finish(const string message,string &problem);
   bool              Skip(const int depth);               // passes over a value of any kind

private:
   bool              Take(SMsgPackToken &token,const string name);
   bool              Integer(SMsgPackToken &token,const string name);
   ulong             Unsigned(const ulong high,const string name);
   long              Signed(const long low,const long high,const string name);
   bool              SkipMap(const int count,const int depth);
   bool              SkipKey(int &begin,int &size,bool &is_text);
   bool              CheckPlain(const int entries,const int depth,const string name);
   bool              CheckMapEntries(const int count,const int entries,const int depth,const string name);
   string            Path(const string name) const;
  };

string CMsgPackReader::Path(const string name) const
  {
   if(name=="" && StringLen(m_where)>0)
      return(StringSubstr(m_where,0,StringLen(m_where)-1));
   return(m_where+name);
  }

void CMsgPackReader::Fail(const string name,const string what)
  {
   if(m_problem=="")
      m_problem=Path(name)+": "+what;
  }

// Take the head of the next value and stand behind it (and behind a text's or bytes' content).
bool CMsgPackReader::Take(SMsgPackToken &token,const string name)
  {
   if(Failed())
      return(false);
   if(!Peek(token))
     {
      Fail(name,"not valid msgpack, or cut");
      return(false);
     }
   m_at=token.next;
   return(true);
  }

bool CMsgPackReader::Nil(void)
  {
   if(Failed() || m_at>=m_end || m_data[m_at]!=0xC0)
      return(false);
   m_at++;
   return(true);
  }

bool CMsgPackReader::Integer(SMsgPackToken &token,const string name)
  {
   if(!Take(token,name))
      return(false);
   if(token.kind!=MSGPACK_UNSIGNED && token.kind!=MSGPACK_SIGNED)
     {
      Fail(name,"expected an integer");
      return(false);
     }
   return(true);
  }

ulong CMsgPackReader::Unsigned(const ulong high,const string name)
  {
   SMsgPackToken token={};
   if(!Integer(token,name))
      return(0);
   if(token.kind==MSGPACK_SIGNED || token.u>high)
     {
      Fail(name,"out of range");
      return(0);
     }
   return(token.u);
  }

long CMsgPackReader::Signed(const long low,const long high,const string name)
  {
   SMsgPackToken token={};
   if(!Integer(token,name))
      return(0);
   bool fits=(token.kind==MSGPACK_SIGNED ? token.i>=low : token.u<=(ulong)high);
   if(!fits)
     {
      Fail(name,"out of range");
      return(0);
     }
   return(token.kind==MSGPACK_SIGNED ? token.i : (long)token.u);
  }

uint CMsgPackReader::U8(const string name)
  {
   return((uint)Unsigned(0xFF,name));
  }

uint CMsgPackReader::U16(const string name)
  {
   return((uint)Unsigned(0xFFFF,name));
  }

uint CMsgPackReader::U32(const string name)
  {
   return((uint)Unsigned(UINT_MAX,name));
  }

ulong CMsgPackReader::U64(const string name)
  {
   return(Unsigned(ULONG_MAX,name));
  }

int CMsgPackReader::I16(const string name)
  {
   return((int)Signed(-32768,32767,name));
  }

int CMsgPackReader::I32(const string name)
  {
   return((int)Signed(INT_MIN,INT_MAX,name));
  }

long CMsgPackReader::I64(const string name)
  {
   return(Signed(LONG_MIN,LONG_MAX,name));
  }

double CMsgPackReader::F64(const string name)
  {
   SMsgPackToken token={};
   if(!Take(token,name))
      return(0.0);
   if(token.kind==MSGPACK_UNSIGNED)
      return((double)token.u);
   if(token.kind==MSGPACK_SIGNED)
      return((double)token.i);
   if(token.kind!=MSGPACK_DOUBLE)
     {
      Fail(name,"expected a number");
      return(0.0);
     }
   if(!IsFinite(token.d))
     {
      Fail(name,"is not finite");
      return(0.0);
     }
   return(token.d);
  }

bool CMsgPackReader::Bool(const string name)
  {
   SMsgPackToken token={};
   if(!Take(token,name))
      return(false);
   if(token.kind!=MSGPACK_BOOL)
     {
      Fail(name,"expected true or false");
      return(false);
     }
   return(token.flag);
  }

string CMsgPackReader::Text(const int limit,const string name)
  {
   SMsgPackToken token={};
   if(!Take(token,name))
      return("");
   if(token.kind!=MSGPACK_TEXT)
      Fail(name,"expected text");
   else
      if(HasNul(m_data,token.begin,token.count))
         Fail(name,"contains a NUL");
      else
         if(token.count>limit)
            Fail(name,StringFormat("%d bytes are more than %d",token.count,limit));
   if(Failed())
      return("");
   return(Utf8ToText(m_data,token.begin,token.count));
  }

void CMsgPackReader::Bin(uchar &out[],const int size,const bool exact,const string name)
  {
   SMsgPackToken token={};
   if(!Take(token,name))
      return;
   if(token.kind!=MSGPACK_BYTES)
     {
      Fail(name,"expected bytes");
      return;
     }
   if(token.count>size || (exact && token.count!=size))
     {
      Fail(name,StringFormat("%d bytes, expected %s%d",token.count,(exact ? "" : "at most "),size));
      return;
     }
   //--- an array of fixed size has its size already, and cannot be given another
   if(ArraySize(out)!=token.count && ArrayResize(out,token.count)!=token.count)
     {
      Fail(name,"no memory");
      return;
     }
   if(token.count>0 && ArrayCopy(out,m_data,0,token.begin,token.count)!=token.count)
      Fail(name,"no memory");
  }

// Take a map whose keys are texts and whose values are plain; hand out its bytes.
void CMsgPackReader::Map(uchar &out[],const int entries,const int depth,const string name)
  {
   SMsgPackToken token={};
   if(Failed())
      return;
   int begin=m_at;
   if(!Peek(token))
     {
      Fail(name,"not valid msgpack, or cut");
      return;
     }
   if(token.kind!=MSGPACK_MAP)
     {
      Fail(name,"expected a map");
      return;
     }
   if(CheckPlain(entries,depth,name) && !CopyRange(begin,m_at,out))
      Fail(name,"no memory");
  }

// Pass over a plain value: nil, bool, number, text, bytes, and so deep in all arrays and maps.
bool CMsgPackReader::CheckPlain(const int entries,const int depth,const string name)
  {
   SMsgPackToken token={};
   if(!Take(token,name))
      return(false);
   switch(token.kind)
     {
      case MSGPACK_NIL:
      case MSGPACK_BOOL:
      case MSGPACK_UNSIGNED:
      case MSGPACK_SIGNED:
      case MSGPACK_BYTES:
         return(true);
      case MSGPACK_DOUBLE:
         if(!IsFinite(token.d))
            Fail(name,"is not finite");
         return(!Failed());
      case MSGPACK_TEXT:
         if(HasNul(m_data,token.begin,token.count))
            Fail(name,"contains a NUL");
         return(!Failed());
      case MSGPACK_ARRAY:
      case MSGPACK_MAP:
         break;
      default:
         Fail(name,"an extension type is not allowed");
         return(false);
     }
   if(depth==0)
     {
      Fail(name,"nested too deeply");
      return(false);
     }
   if(token.count>entries)
     {
      Fail(name,StringFormat("%d entries are more than %d",token.count,entries));
      return(false);
     }
   m_depth++;
   if(token.kind==MSGPACK_MAP)
      CheckMapEntries(token.count,entries,depth,name);
   else
      for(int i=0; i<token.count && !Failed(); i++)
         CheckPlain(entries,depth-1,name);
   m_depth--;
   return(!Failed());
  }

bool CMsgPackReader::CheckMapEntries(const int count,const int entries,const int depth,const string name)
  {
   int begins[];
   int sizes[];
   bool is_text=false;
   if(ArrayResize(begins,count)!=count || ArrayResize(sizes,count)!=count)
     {
      Fail(name,"no memory");
      return(false);
     }
   for(int i=0; i<count; i++)
     {
      int begin=0;
      int size=0;
      if(!SkipKey(begin,size,is_text) || !is_text)
        {
         Fail(name,"keys must be text");
         return(false);
        }
      if(HasNul(m_data,begin,size))
        {
         Fail(name,"a key contains a NUL");
         return(false);
        }
      for(int j=0; j<i; j++)
         if(sizes[j]==size && SameRange(m_data,begins[j],begin,size))
           {
            Fail(name,"a key stands twice in a map");
            return(false);
           }
      begins[i]=begin;
      sizes[i]=size;
      if(!CheckPlain(entries,depth-1,name))
         return(false);
     }
   return(true);
  }

// Take a key: text or bytes.
bool CMsgPackReader::SkipKey(int &begin,int &size,bool &is_text)
  {
   SMsgPackToken token={};
   if(!Peek(token) || (token.kind!=MSGPACK_TEXT && token.kind!=MSGPACK_BYTES))
      return(false);
   begin=token.begin;
   size=token.count;
   is_text=(token.kind==MSGPACK_TEXT);
   m_at=token.next;
   return(true);
  }

// Pass over one value of any kind; it is checked as msgpack only.
bool CMsgPackReader::Skip(const int depth)
  {
   SMsgPackToken token={};
   if(depth>MSGPACK_DEPTH_MAX || !Take(token,"a value behind the known fields"))
      return(false);
   if(token.kind!=MSGPACK_ARRAY && token.kind!=MSGPACK_MAP)
      return(true);
   bool sound=true;
   m_depth++;
   if(token.kind==MSGPACK_MAP)
      sound=SkipMap(token.count,depth+1);
   else
      for(int i=0; i<token.count && sound; i++)
         sound=Skip(depth+1);
   m_depth--;
   return(sound);
  }

bool CMsgPackReader::SkipMap(const int count,const int depth)
  {
   int begins[];
   int sizes[];
   bool texts[];
   if(ArrayResize(begins,count)!=count || ArrayResize(sizes,count)!=count || ArrayResize(texts,count)!=count)
      return(false);
   for(int i=0; i<count; i++)
     {
      int begin=0;
      int size=0;
      bool is_text=false;
      if(!SkipKey(begin,size,is_text))
        {
         Fail("a key","neither text nor bytes, or cut");
         return(false);
        }
      for(int j=0; j<i; j++)
         if(texts[j]==is_text && sizes[j]==size && SameRange(m_data,begins[j],begin,size))
           {
            Fail("a key","stands twice in a map");
            return(false);
           }
      begins[i]=begin;
      sizes[i]=size;
      texts[i]=is_text;
      if(!Skip(depth))
         return(false);
     }
   return(true);
  }

int CMsgPackReader::BeginArray(const int fields,const string name)
  {
   SMsgPackToken token={};
   if(!Take(token,name))
      return(0);
   if(token.kind!=MSGPACK_ARRAY)
      Fail(name,"expected an array");
   else
      if(token.count<fields)
         Fail(name,StringFormat("%d of %d elements",token.count,fields));
   if(Failed())
      return(0);
   m_depth++;
   return(token.count-fields);
  }

int CMsgPackReader::Array(const int limit,const string name)
  {
   SMsgPackToken token={};
   if(!Take(token,name))
      return(0);
   if(token.kind!=MSGPACK_ARRAY)
      Fail(name,"expected an array");
   else
      if(token.count>limit)
         Fail(name,StringFormat("%d elements are more than %d",token.count,limit));
   if(Failed())
      return(0);
   m_depth++;
   return(token.count);
  }

void CMsgPackReader::EndArray(const int extra)
  {
   for(int i=0; i<extra && !Failed(); i++)
      if(!Skip(0))
         Fail("a value behind the known fields","not valid msgpack");
   m_depth--;
  }

string CMsgPackReader::Enter(const string name)
  {
   string outer=m_where;
   m_where=m_where+name+".";
   return(outer);
  }

void CMsgPackReader::Leave(const string outer)
  {
   m_where=outer;
  }

// End reading: nothing may stand behind what was read.
bool CMsgPackReader::Finish(const string message,string &problem)
  {
   if(m_problem=="" && m_at!=m_end)
      m_problem=StringFormat("%d bytes stand behind the value",m_end-m_at);
   if(m_problem!="")
     {
      problem=message+"."+m_problem;
      return(false);
     }
   return(true);
  }

#endif // BRIDGE_WIRE_MSGPACKREADER_MQH
